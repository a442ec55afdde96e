# The same from a source that completed a connection before: the evidence is its own, so it is
# banned. Its first connection is let in unproven; then the kernel reports that it is proven.
  [ports]
  open = "22"

0s     203.0.113.7 > 198.51.100.2:22             -> accept
1s     203.0.113.7 > 198.51.100.2:22 proven x4/10ms -> accept
2s     203.0.113.7 > 198.51.100.2:22 proven x4/100ms -> drop rate
3s     203.0.113.7 > 198.51.100.2:22 proven      -> drop rate earns banned
