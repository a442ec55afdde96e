# A guesser who tries ten passwords a minute is over the rate of logins at the eighth.
  [ports]
  open = "22"

0s     203.0.113.7 > 198.51.100.2:22             -> accept
6s     203.0.113.7 > 198.51.100.2:22 proven x6/6s -> accept
42s    203.0.113.7 > 198.51.100.2:22 proven      -> drop rate
# It goes on, and is banned for connections that it surely made itself.
48s    203.0.113.7 > 198.51.100.2:22 proven      -> accept
54s    203.0.113.7 > 198.51.100.2:22 proven      -> drop rate
60s    203.0.113.7 > 198.51.100.2:22 proven      -> accept
66s    203.0.113.7 > 198.51.100.2:22 proven      -> drop rate
72s    203.0.113.7 > 198.51.100.2:22 proven      -> drop rate
78s    203.0.113.7 > 198.51.100.2:22 proven      -> accept
84s    203.0.113.7 > 198.51.100.2:22 proven      -> drop rate earns banned
