# Somebody else forges the address of a proven client, from another distance. The client can
# become a suspect, which costs it nothing while it is proven. It is never banned.
  [ports]
  open = "22, 80"

0s     203.0.113.7 > 198.51.100.2:80             -> accept
1s     203.0.113.7 > 198.51.100.2:9999 proven ttl=44 x4/10ms -> drop ports
2s     203.0.113.7 > 198.51.100.2:9999 proven ttl=44 -> drop ports earns suspect
3s     203.0.113.7 > 198.51.100.2:9999 proven ttl=44 x4/10ms -> drop ports
4s     203.0.113.7 > 198.51.100.2:9999 proven ttl=44 -> drop ports earns suspect
5s     203.0.113.7 > 198.51.100.2:80 proven suspect -> accept

# If the forger comes first, both look alike to the gate: still no ban.
10s    203.0.113.8 > 198.51.100.2:80 ttl=44      -> accept
11s    203.0.113.8 > 198.51.100.2:80             -> accept
12s    203.0.113.8 > 198.51.100.2:9999 proven x4/10ms -> drop ports
13s    203.0.113.8 > 198.51.100.2:9999 proven    -> drop ports earns suspect
14s    203.0.113.8 > 198.51.100.2:9999 proven x4/10ms -> drop ports
15s    203.0.113.8 > 198.51.100.2:9999 proven    -> drop ports earns suspect
