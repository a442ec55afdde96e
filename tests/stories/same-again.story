# A guesser opens one connection after the other with the same port and sequence number, to be taken
# for a retransmission. Once it is proven, only the first repetition is free.
  [ports]
  open = "22"
  [rate.class.login]
  rate = "10/m"

0s     203.0.113.7:5000 > 198.51.100.2:22 seq=9  -> accept
1s     203.0.113.7:5000 > 198.51.100.2:22 seq=9 proven -> accept
2s     203.0.113.7:5000 > 198.51.100.2:22 seq=9 proven -> accept
3s     203.0.113.7:5000 > 198.51.100.2:22 seq=9 proven -> accept
4s     203.0.113.7:5000 > 198.51.100.2:22 seq=9 proven -> accept
5s     203.0.113.7:5000 > 198.51.100.2:22 seq=9 proven -> accept
6s     203.0.113.7:5000 > 198.51.100.2:22 seq=9 proven -> accept
7s     203.0.113.7:5000 > 198.51.100.2:22 seq=9 proven -> drop rate
