# Coming back is worth next to nothing to a guesser: two attempts more until it is banned, and each
# was counted when it was first refused.
  [ports]
  open = "22"

0s     203.0.113.7 > 198.51.100.2:22             -> accept
1s     203.0.113.7 > 198.51.100.2:22 proven x4/1ms -> accept
2s     203.0.113.7 > 198.51.100.2:22 proven      -> drop rate
2.3s   203.0.113.7 > 198.51.100.2:22 proven again -> drop rate
3s     203.0.113.7 > 198.51.100.2:22 proven again -> accept
4s     203.0.113.7 > 198.51.100.2:22 proven      -> drop rate
5s     203.0.113.7 > 198.51.100.2:22 proven again -> accept
6s     203.0.113.7 > 198.51.100.2:22 proven      -> drop rate
7s     203.0.113.7 > 198.51.100.2:22 proven again -> drop rate
9s     203.0.113.7 > 198.51.100.2:22 proven again -> drop rate
10s    203.0.113.7 > 198.51.100.2:22 proven      -> drop rate
11s    203.0.113.7 > 198.51.100.2:22 proven      -> drop rate earns banned

# Many at once, before the first one is answered: the same.
100s   203.0.113.8 > 198.51.100.2:22 x5/1ms      -> accept
100s   203.0.113.8:6001 > 198.51.100.2:22        -> drop rate
100s   203.0.113.8:6002 > 198.51.100.2:22        -> drop rate
100s   203.0.113.8:6003 > 198.51.100.2:22        -> drop rate
100s   203.0.113.8:6004 > 198.51.100.2:22        -> drop rate
101s   203.0.113.8:6001 > 198.51.100.2:22 proven -> accept
101s   203.0.113.8:6002 > 198.51.100.2:22 proven -> accept
101s   203.0.113.8:6003 > 198.51.100.2:22 proven -> drop rate
101s   203.0.113.8:6004 > 198.51.100.2:22 proven -> drop rate
103s   203.0.113.8:6003 > 198.51.100.2:22 proven -> drop rate
103s   203.0.113.8 > 198.51.100.2:22 proven      -> drop rate earns suspect
