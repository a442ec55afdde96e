# Somebody forges a proven client's address and hammers ssh in its name, from another distance. The
# client's own allowance is not touched by that.
  [ports]
  open = "22"

0s     203.0.113.7 > 198.51.100.2:22             -> accept
1s     203.0.113.7 > 198.51.100.2:22 proven ttl=44 x5/10ms -> accept
2s     203.0.113.7 > 198.51.100.2:22 proven ttl=44 -> drop rate
3s     203.0.113.7 > 198.51.100.2:22 proven x4/10ms -> accept
4s     203.0.113.7 > 198.51.100.2:22 proven      -> drop rate

