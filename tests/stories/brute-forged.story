# Somebody forges a proven client's address and tries out how its SYNs look. One wrong guess spoils
# the evidence of the whole window, so hitting upon the right one bans nobody.
  [ports]
  open = "22"

0s     203.0.113.7 > 198.51.100.2:22             -> accept
1s     203.0.113.7 > 198.51.100.2:9999 proven ttl=44 -> drop ports
2s     203.0.113.7 > 198.51.100.2:9999 proven x3/10ms -> drop ports
3s     203.0.113.7 > 198.51.100.2:9999 proven    -> drop ports earns suspect
4s     203.0.113.7 > 198.51.100.2:9999 proven x4/10ms -> drop ports
5s     203.0.113.7 > 198.51.100.2:9999 proven    -> drop ports earns suspect

# In a window of its own, it is the client's own evidence again.
700s   203.0.113.7 > 198.51.100.2:9999 proven x4/10ms -> drop ports
701s   203.0.113.7 > 198.51.100.2:9999 proven    -> drop ports earns banned

# After three such windows nobody can tell any more.
1400s  203.0.113.7 > 198.51.100.2:9999 proven ttl=45 -> drop ports
2100s  203.0.113.7 > 198.51.100.2:9999 proven ttl=46 -> drop ports
2800s  203.0.113.7 > 198.51.100.2:9999 proven x4/10ms -> drop ports
2801s  203.0.113.7 > 198.51.100.2:9999 proven    -> drop ports earns suspect
