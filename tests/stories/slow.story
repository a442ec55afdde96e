# The scan test has no time window: one port a day is a scan on the fifth day.
  [ports]
  open = "80"

0h     203.0.113.7 > 198.51.100.2:81             -> drop ports
24h    203.0.113.7 > 198.51.100.2:82             -> drop ports
48h    203.0.113.7 > 198.51.100.2:83             -> drop ports
72h    203.0.113.7 > 198.51.100.2:84             -> drop ports
96h    203.0.113.7 > 198.51.100.2:85             -> drop scan earns suspect
# The test begins anew; the standing is kept elsewhere.
120h   203.0.113.7 > 198.51.100.2:86             -> drop ports

# Somebody whose service is gone comes back to the same port for hours: no scan.
121h   203.0.113.8 > 198.51.100.2:8080 x500/30s  -> drop ports
# Hammering at it is another matter.
130h   203.0.113.9 > 198.51.100.2:8080 x65/1ms   -> drop ports
131h   203.0.113.9 > 198.51.100.2:8080 x64/1ms   -> drop ports
131h   203.0.113.9 > 198.51.100.2:8080           -> drop ports earns suspect
