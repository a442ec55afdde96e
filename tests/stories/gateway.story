# Hosts behind a gateway have their own list of served ports.
  [guard]
  protect = ["10.1.0.0/24"]
  [ports]
  open = "22"
  open_behind = "80, 443"

0s     203.0.113.7 > 198.51.100.2:22             -> accept
0s     203.0.113.7 > 198.51.100.2:80             -> drop ports
0s     203.0.113.9 > 10.1.0.5:80                 -> accept
0s     203.0.113.7 > 10.1.0.5:22                 -> drop ports
