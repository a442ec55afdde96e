# Behind one address are two machines, or somebody forges it. What looks otherwise than the proven
# connections has rates of its own, and for each kind of service its own as well.
  [ports]
  open = "21, 80"
  [rate.class.web]
  burst = 300

0s     203.0.113.7 > 198.51.100.2:21             -> accept
1s     203.0.113.7 > 198.51.100.2:21 proven ttl=44 x5/10ms -> accept
2s     203.0.113.7 > 198.51.100.2:21 proven ttl=44 -> drop rate
# Elsewhere the other machine has tried nothing yet.
2s     203.0.113.7 > 198.51.100.2:80 proven ttl=44 x300/0ms -> accept
2s     203.0.113.7 > 198.51.100.2:80 proven ttl=44 x30/0ms -> drop rate
# And nothing of all that was at the first one's cost.
3s     203.0.113.7 > 198.51.100.2:21 proven      -> accept
3s     203.0.113.7 > 198.51.100.2:80 proven x300/0ms -> accept
