# The classic behaviour on request: any SYN is evidence enough for a ban.
  [ports]
  open = "80"
  [scan]
  sensitivity = "off"
  [bans]
  evidence = "any"
  after = 2

0s     203.0.113.7 > 198.51.100.2:81             -> drop ports
1s     203.0.113.7 > 198.51.100.2:82             -> drop ports earns banned
