# Newcomers, perhaps forged, use up their network's allowance. Its proven sources have one of their own.
  [ports]
  open = "80"
  [rate]
  network = "1/m"
  network_burst = 2

0s     203.0.113.7 > 198.51.100.2:80             -> accept
1s     203.0.113.8 > 198.51.100.2:80             -> accept
2s     203.0.113.9 > 198.51.100.2:80             -> drop rate
3s     203.0.113.7 > 198.51.100.2:80 proven x2/10ms -> accept
4s     203.0.113.7 > 198.51.100.2:80 proven      -> drop rate
