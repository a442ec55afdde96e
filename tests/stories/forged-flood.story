# Somebody floods in the names of two clients. Whoever is not proven gets in with the second knock,
# whoever is proven at once, and nobody is banned.
  [ports]
  open = "22, 80"
  [rate.class.web]
  rate = "1/s"
  burst = 20

# At the web: the allowance is used up by the flood, once and again.
0s     203.0.113.7 > 198.51.100.2:80 ttl=44 x20/1ms -> accept
0.1s   203.0.113.7 > 198.51.100.2:80 ttl=44 x9/1ms -> drop rate
0.2s   203.0.113.7:5555 > 198.51.100.2:80        -> drop rate
0.3s   203.0.113.7 > 198.51.100.2:80 ttl=44 x9/1ms -> drop rate
1.1s   203.0.113.7 > 198.51.100.2:80 ttl=44      -> accept
1.1s   203.0.113.7 > 198.51.100.2:80 ttl=44      -> drop rate
1.2s   203.0.113.7:5555 > 198.51.100.2:80        -> accept
# It is proven, though nobody can tell which of the two looks it has. They are kept apart all the
# same, so it pays no longer for what the other one sends.
1.3s   203.0.113.7 > 198.51.100.2:80 proven ttl=44 x20/0ms -> accept
1.4s   203.0.113.7 > 198.51.100.2:80 proven ttl=44 x9/0ms -> drop rate
3s     203.0.113.7 > 198.51.100.2:80 proven x2/1ms -> accept

# At ssh, where it also makes a suspect of the client.
10s    203.0.113.8 > 198.51.100.2:22 ttl=44 x5/1ms -> accept
10.1s  203.0.113.8 > 198.51.100.2:22 ttl=44 x4/1ms -> drop rate
10.2s  203.0.113.8 > 198.51.100.2:22 ttl=44      -> drop rate earns suspect
10.3s  203.0.113.8:5555 > 198.51.100.2:22 suspect -> drop rate
10.4s  203.0.113.8 > 198.51.100.2:22 ttl=44 suspect x3/1ms -> drop rate
10.5s  203.0.113.8 > 198.51.100.2:22 ttl=44 suspect -> drop rate earns suspect
11.3s  203.0.113.8:5555 > 198.51.100.2:22 suspect -> accept
# It proves itself with that, and is no longer charged with what the other one did.
11.4s  203.0.113.8 > 198.51.100.2:22 ttl=44 proven suspect x5/1ms -> accept
11.5s  203.0.113.8 > 198.51.100.2:22 ttl=44 proven suspect x4/1ms -> drop rate
11.6s  203.0.113.8 > 198.51.100.2:22 proven suspect x5/1ms -> accept
11.7s  203.0.113.8 > 198.51.100.2:22 proven suspect -> drop rate earns suspect

# A client that was proven before pays for nothing of it.
20s    203.0.113.9 > 198.51.100.2:22             -> accept
21s    203.0.113.9 > 198.51.100.2:22 proven ttl=44 x5/1ms -> accept
22s    203.0.113.9 > 198.51.100.2:22 proven ttl=44 x4/1ms -> drop rate
22.5s  203.0.113.9 > 198.51.100.2:22 proven ttl=44 -> drop rate earns suspect
23s    203.0.113.9 > 198.51.100.2:22 proven suspect x3/1s -> accept

# If he imitates it well, it gets in with its second knock.
30s    203.0.113.10 > 198.51.100.2:22            -> accept
31s    203.0.113.10 > 198.51.100.2:22 proven x4/1ms -> accept
31.1s  203.0.113.10 > 198.51.100.2:22 proven x2/1ms -> drop rate
31.2s  203.0.113.10:5555 > 198.51.100.2:22 proven -> drop rate
32.2s  203.0.113.10:5555 > 198.51.100.2:22 proven -> accept
