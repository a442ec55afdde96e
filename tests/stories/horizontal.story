# One port on many hosts is a scan as well.
  [guard]
  protect = ["10.1.0.0/24"]
  [ports]
  open = "22"
  open_behind = "80"

0s     203.0.113.7 > 10.1.0.1:445                -> drop ports
0s     203.0.113.7 > 10.1.0.2:445                -> drop ports
0s     203.0.113.7 > 10.1.0.2:445                -> drop ports
0s     203.0.113.7 > 10.1.0.3:445                -> drop ports
0s     203.0.113.7 > 10.1.0.4:445                -> drop ports
0s     203.0.113.7 > 10.1.0.5:445                -> drop scan earns suspect
