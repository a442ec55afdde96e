# A busy web client is throttled, gets in with its retransmission, and is never a suspect for it.
  [ports]
  open = "80"
  [rate.class.web]
  ports = "80"
  rate = "10/s"
  burst = 10

0s     203.0.113.7 > 198.51.100.2:80 x10/1ms     -> accept
0.05s  203.0.113.7 > 198.51.100.2:80 x30/1ms     -> drop rate
0.09s  203.0.113.7:5555 > 198.51.100.2:80        -> drop rate
1.1s   203.0.113.7:5555 > 198.51.100.2:80 again  -> accept
# Charged once: a retransmission of what was let in is free even when the bucket is full.
1.2s   203.0.113.7 > 198.51.100.2:80 x10/1ms     -> accept
1.22s  203.0.113.7 > 198.51.100.2:80 again       -> accept
1.22s  203.0.113.7 > 198.51.100.2:80             -> drop rate
