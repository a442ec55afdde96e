# Somebody else forges the address of a proven client, from another distance. The client can
# become a suspect, which costs it nothing while it is proven. It is never banned.
  [ports]
  open = "22, 80"

0s     203.0.113.7 > 198.51.100.2:80             -> accept
1s     203.0.113.7 > 198.51.100.2:9991 proven ttl=44 -> drop ports
1s     203.0.113.7 > 198.51.100.2:9992 proven ttl=44 -> drop ports
1s     203.0.113.7 > 198.51.100.2:9993 proven ttl=44 -> drop ports
1s     203.0.113.7 > 198.51.100.2:9994 proven ttl=44 -> drop ports
2s     203.0.113.7 > 198.51.100.2:9995 proven ttl=44 -> drop scan earns suspect
# Even with mistakes of its own in between.
3s     203.0.113.7 > 198.51.100.2:8001 proven    -> drop ports
3s     203.0.113.7 > 198.51.100.2:8002 proven ttl=44 -> drop ports
3s     203.0.113.7 > 198.51.100.2:8003 proven ttl=44 -> drop ports
3s     203.0.113.7 > 198.51.100.2:8004 proven ttl=44 -> drop ports
4s     203.0.113.7 > 198.51.100.2:8005 proven    -> drop scan earns suspect
5s     203.0.113.7 > 198.51.100.2:80 proven suspect -> accept

# If the forger comes first, both look alike to the gate: still no ban.
10s    203.0.113.8 > 198.51.100.2:80 ttl=44      -> accept
11s    203.0.113.8 > 198.51.100.2:80             -> accept
12s    203.0.113.8 > 198.51.100.2:9991 proven    -> drop ports
12s    203.0.113.8 > 198.51.100.2:9992 proven    -> drop ports
12s    203.0.113.8 > 198.51.100.2:9993 proven    -> drop ports
12s    203.0.113.8 > 198.51.100.2:9994 proven    -> drop ports
13s    203.0.113.8 > 198.51.100.2:9995 proven    -> drop scan earns suspect

# The innocent behind a forged address, never seen before, gets in with its second knock.
20s    203.0.113.9 > 198.51.100.2:9991 ttl=44    -> drop ports
20s    203.0.113.9 > 198.51.100.2:9992 ttl=44    -> drop ports
20s    203.0.113.9 > 198.51.100.2:9993 ttl=44    -> drop ports
20s    203.0.113.9 > 198.51.100.2:9994 ttl=44    -> drop ports
20s    203.0.113.9 > 198.51.100.2:9995 ttl=44    -> drop scan earns suspect
21s    203.0.113.9 > 198.51.100.2:80 suspect     -> drop standing
22s    203.0.113.9 > 198.51.100.2:80 suspect again -> accept
