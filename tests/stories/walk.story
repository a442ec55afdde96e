# Connections that work count in favour of a source, but cannot be saved up.
  [ports]
  open = "22, 80, 443"

# A client of the web server, proven by its first connection, has three wrong bookmarks…
0s     203.0.113.7 > 198.51.100.2:80             -> accept
1s     203.0.113.7 > 198.51.100.2:81 proven      -> drop ports
2s     203.0.113.7 > 198.51.100.2:82 proven      -> drop ports
3s     203.0.113.7 > 198.51.100.2:83 proven      -> drop ports
# …then finds the secure one and ssh, which takes it back two steps. Twice is not more.
4s     203.0.113.7 > 198.51.100.2:443 proven     -> accept
5s     203.0.113.7 > 198.51.100.2:22 proven      -> accept
6s     203.0.113.7 > 198.51.100.2:443 proven     -> accept
7s     203.0.113.7 > 198.51.100.2:84 proven      -> drop ports
8s     203.0.113.7 > 198.51.100.2:85 proven      -> drop ports
9s     203.0.113.7 > 198.51.100.2:86 proven      -> drop ports
# The evidence is its own, so it is banned.
10s    203.0.113.7 > 198.51.100.2:87 proven      -> drop scan earns banned

# What is not yet known to have worked counts for nothing, and then for its turn.
20s    203.0.113.8 > 198.51.100.2:81             -> drop ports
20s    203.0.113.8 > 198.51.100.2:82             -> drop ports
20s    203.0.113.8 > 198.51.100.2:83             -> drop ports
20s    203.0.113.8 > 198.51.100.2:22             -> drop standing
21s    203.0.113.8 > 198.51.100.2:22 again       -> accept
20s    203.0.113.8 > 198.51.100.2:84             -> drop ports
21s    203.0.113.8 > 198.51.100.2:85 proven      -> drop ports
22s    203.0.113.8 > 198.51.100.2:86 proven      -> drop scan earns suspect
