# Other denials are forgotten when the window is over.
  [ports]
  open = "80"
  [scan]
  sensitivity = "off"
  [bans]
  after = 3
  within = "10m"

0s     203.0.113.7 > 198.51.100.2:81             -> drop ports
9m     203.0.113.7 > 198.51.100.2:82             -> drop ports
11m    203.0.113.7 > 198.51.100.2:83             -> drop ports
20m    203.0.113.7 > 198.51.100.2:84             -> drop ports
20.5m  203.0.113.7 > 198.51.100.2:85             -> drop ports earns suspect
