# A flood of forged SYNs: everybody is let in as before, closed ports stay closed, and nobody earns
# a standing, because nobody can be sure who it was.
  [ports]
  open = "80"
  [rate]
  network = "unlimited"

0s     203.0.113.7 > 198.51.100.2:8001           -> drop ports
1s     10.1.0.0.. > 198.51.100.2:80 x2000/1ms    -> accept
3s     203.0.113.7 > 198.51.100.2:8002           -> drop ports
3.01s  203.0.113.7 > 198.51.100.2:8003           -> drop ports
3.02s  203.0.113.7 > 198.51.100.2:8004           -> drop ports
3.03s  203.0.113.7 > 198.51.100.2:8005           -> drop ports
3.04s  203.0.113.7 > 198.51.100.2:8006           -> drop ports
3.05s  203.0.113.7 > 198.51.100.2:31337          -> drop ports
3.06s  203.0.113.7 > 198.51.100.2:4444           -> drop ports
3.07s  203.0.113.9 > 198.51.100.2:80 flags=SF x9/1ms -> drop quirks
# Five seconds after the last of it, things are as they were: one failure was known before.
8s     203.0.113.7 > 198.51.100.2:8002           -> drop ports
8.1s   203.0.113.7 > 198.51.100.2:8003           -> drop ports
8.2s   203.0.113.7 > 198.51.100.2:8004           -> drop ports
8.3s   203.0.113.7 > 198.51.100.2:8005           -> drop scan earns suspect
