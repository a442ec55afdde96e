# Guessing that is spread over many networks of one customer, each below its own rate.
  [ports]
  open = "22, 80"
  [rate.class.login]
  network = "4/m"
  network_burst = 8

0s     [2001:db8:7:1::1]:5 > [2001:db8:9::2]:22  -> accept
0s     [2001:db8:7:2::1]:5 > [2001:db8:9::2]:22  -> accept
0s     [2001:db8:7:3::1]:5 > [2001:db8:9::2]:22  -> accept
0s     [2001:db8:7:4::1]:5 > [2001:db8:9::2]:22  -> accept
0s     [2001:db8:7:5::1]:5 > [2001:db8:9::2]:22  -> accept
0s     [2001:db8:7:6::1]:5 > [2001:db8:9::2]:22  -> accept
0s     [2001:db8:7:7::1]:5 > [2001:db8:9::2]:22  -> accept
0s     [2001:db8:7:8::1]:5 > [2001:db8:9::2]:22  -> accept
# The ninth is refused, however often it tries; that is nothing against it…
1s     [2001:db8:7:9::1]:5 > [2001:db8:9::2]:22 seq=1 -> drop rate
1s     [2001:db8:7:9::1]:5 > [2001:db8:9::2]:22 seq=2 -> drop rate
1s     [2001:db8:7:9::1]:5 > [2001:db8:9::2]:22 seq=3 -> drop rate
1s     [2001:db8:7:9::1]:5 > [2001:db8:9::2]:22 seq=4 -> drop rate
1s     [2001:db8:7:9::1]:5 > [2001:db8:9::2]:22 seq=5 -> drop rate
1s     [2001:db8:7:9::1]:5 > [2001:db8:9::2]:22 seq=6 -> drop rate
# …for all of them may be forged. So a second knock lets in: two at once, then one a minute, whoever
# of the network it is.
2s     [2001:db8:7:9::1]:5 > [2001:db8:9::2]:22 seq=1 -> accept
2s     [2001:db8:7:9::1]:5 > [2001:db8:9::2]:22 seq=2 -> accept
2s     [2001:db8:7:9::1]:5 > [2001:db8:9::2]:22 seq=3 -> drop rate
2s     [2001:db8:7:a::1]:5 > [2001:db8:9::2]:22 -> drop rate
3s     [2001:db8:7:a::1]:5 > [2001:db8:9::2]:22 -> drop rate
# Other services, other networks, and those who are proven are not concerned.
4s     [2001:db8:7:a::1]:5 > [2001:db8:9::2]:80 -> accept
4s     [2001:db8:8:1::1]:5 > [2001:db8:9::2]:22 -> accept
4s     [2001:db8:7:1::1]:6 > [2001:db8:9::2]:22 proven -> accept
# A minute later there is room for four more.
62s    [2001:db8:7:c::1]:5 > [2001:db8:9::2]:22 -> accept
62s    [2001:db8:7:d::1]:5 > [2001:db8:9::2]:22 -> accept
62s    [2001:db8:7:e::1]:5 > [2001:db8:9::2]:22 -> accept
62s    [2001:db8:7:f::1]:5 > [2001:db8:9::2]:22 -> accept
62s    [2001:db8:7:10::1]:5 > [2001:db8:9::2]:22 -> drop rate
