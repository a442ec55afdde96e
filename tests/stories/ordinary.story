# Ordinary clients are never refused.
  [ports]
  open = "22, 80, 443"

# A browser: twenty connections within a second, then some now and then.
0s     203.0.113.7 > 198.51.100.2:443 x20/50ms   -> accept
10s    203.0.113.7 > 198.51.100.2:443 x20/50ms   -> accept
# An admin logs in three times in a minute.
20s    203.0.113.9 > 198.51.100.2:22 x3/20s      -> accept
# A lossy line: the same SYN again and again is one attempt.
90s    203.0.113.10 > 198.51.100.2:22            -> accept
91s    203.0.113.10 > 198.51.100.2:22 again      -> accept
93s    203.0.113.10 > 198.51.100.2:22 again      -> accept
97s    203.0.113.10 > 198.51.100.2:22 again      -> accept
105s   203.0.113.10 > 198.51.100.2:22 again      -> accept
121s   203.0.113.10 > 198.51.100.2:22 again      -> accept
# IPv6, and Fast Open with data in the SYN.
130s   [2001:db8::7]:4000 > [2001:db8:1::2]:443  -> accept
131s   203.0.113.7 > 198.51.100.2:443 tfo data=500 -> accept
# ECN asks with two more flags (RFC 3168).
132s   203.0.113.7 > 198.51.100.2:443 flags=SEC  -> accept
