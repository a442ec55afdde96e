# A scanner that connects sends SYNs that come back, like everybody's. But its second service costs a
# second; and from its second closed target on it is let in to one service at a time.
  [ports]
  open = "22, 80, 443"

0s     203.0.113.7 > 198.51.100.2:21             -> drop ports
0.1s   203.0.113.7 > 198.51.100.2:25             -> drop ports
0.2s   203.0.113.7 > 198.51.100.2:80             -> drop standing
1.2s   203.0.113.7 > 198.51.100.2:80 again       -> accept
1.3s   203.0.113.7 > 198.51.100.2:22             -> drop standing
2.3s   203.0.113.7 > 198.51.100.2:22 again       -> drop standing
# The service that it was let in to stays open to it.
2.4s   203.0.113.7 > 198.51.100.2:80             -> drop standing
3.4s   203.0.113.7 > 198.51.100.2:80 again       -> accept
3.5s   203.0.113.7 > 198.51.100.2:110            -> drop ports
3.5s   203.0.113.7 > 198.51.100.2:111            -> drop ports
3.5s   203.0.113.7 > 198.51.100.2:112            -> drop scan earns suspect
4s     203.0.113.7 > 198.51.100.2:443 suspect    -> drop standing
5s     203.0.113.7 > 198.51.100.2:443 suspect again -> drop standing
# Who knocks and knocks is let in.
7s     203.0.113.7 > 198.51.100.2:443 suspect again -> drop standing
11s    203.0.113.7 > 198.51.100.2:443 suspect again -> drop standing
19s    203.0.113.7 > 198.51.100.2:443 suspect again -> accept
# Half a minute later it may go on to the next.
40s    203.0.113.7 > 198.51.100.2:443 suspect    -> drop standing
41s    203.0.113.7 > 198.51.100.2:443 suspect again -> accept
# Whoever was answered is proven, and goes where he likes.
42s    203.0.113.7 > 198.51.100.2:22 suspect proven -> accept
42s    203.0.113.7 > 198.51.100.2:80 suspect proven -> accept
# An honest newcomer at two services.
50s    203.0.113.8 > 198.51.100.2:80             -> accept
50.1s  203.0.113.8 > 198.51.100.2:443            -> drop standing
51.1s  203.0.113.8 > 198.51.100.2:443 again      -> accept
51.2s  203.0.113.8 > 198.51.100.2:80             -> accept
51.3s  203.0.113.8 > 198.51.100.2:22             -> accept
51.4s  203.0.113.8 > 198.51.100.3:443            -> accept
