# Somebody forges a proven client's address and tries out how its SYNs look. One wrong guess spoils
# the evidence of the whole window, so hitting upon the right one bans nobody.
  [ports]
  open = "22"

0s     203.0.113.7 > 198.51.100.2:22             -> accept
1s     203.0.113.7 > 198.51.100.2:22 flags=SF proven ttl=44 -> drop quirks
2s     203.0.113.7 > 198.51.100.2:22 flags=SF proven x3/10ms -> drop quirks
3s     203.0.113.7 > 198.51.100.2:22 flags=SF proven    -> drop quirks earns suspect
4s     203.0.113.7 > 198.51.100.2:22 flags=SF proven x4/10ms -> drop quirks
5s     203.0.113.7 > 198.51.100.2:22 flags=SF proven    -> drop quirks earns suspect

# In a window of its own, it is the client's own evidence again.
700s   203.0.113.7 > 198.51.100.2:22 flags=SF proven x4/10ms -> drop quirks
701s   203.0.113.7 > 198.51.100.2:22 flags=SF proven    -> drop quirks earns banned

# After three such windows nobody can tell any more.
1400s  203.0.113.7 > 198.51.100.2:22 flags=SF proven ttl=45 -> drop quirks
2100s  203.0.113.7 > 198.51.100.2:22 flags=SF proven ttl=46 -> drop quirks
2800s  203.0.113.7 > 198.51.100.2:22 flags=SF proven x4/10ms -> drop quirks
2801s  203.0.113.7 > 198.51.100.2:22 flags=SF proven    -> drop quirks earns suspect
