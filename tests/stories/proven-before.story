# A guesser who was proven before the gate knew it: nobody can tell whose SYNs those are. It is to
# prove itself anew; then it is known how it looks, and it is banned.
  [ports]
  open = "22"

0s     203.0.113.7 > 198.51.100.2:22 proven x5/1ms -> accept
1s     203.0.113.7 > 198.51.100.2:22 proven x4/1ms -> drop rate
2s     203.0.113.7 > 198.51.100.2:22 proven      -> drop rate earns suspect to be proven anew
60s    203.0.113.7:5555 > 198.51.100.2:22 suspect -> drop standing
61s    203.0.113.7:5555 > 198.51.100.2:22 suspect -> accept
62s    203.0.113.7 > 198.51.100.2:22 suspect proven x3/1ms -> accept
63s    203.0.113.7 > 198.51.100.2:22 suspect proven x4/1ms -> drop rate
64s    203.0.113.7 > 198.51.100.2:22 suspect proven -> drop rate earns banned

# One whose address is forged at the same time is proven by two looks, and not banned for either.
100s   203.0.113.8 > 198.51.100.2:22 proven ttl=44 x5/1ms -> accept
101s   203.0.113.8 > 198.51.100.2:22 proven ttl=44 x4/1ms -> drop rate
102s   203.0.113.8 > 198.51.100.2:22 proven ttl=44 -> drop rate earns suspect to be proven anew
160s   203.0.113.8:5555 > 198.51.100.2:22 suspect ttl=44 -> drop standing
161s   203.0.113.8:5555 > 198.51.100.2:22 suspect ttl=44 -> accept
162s   203.0.113.8:5556 > 198.51.100.2:22 suspect -> drop standing
163s   203.0.113.8:5556 > 198.51.100.2:22 suspect -> accept
164s   203.0.113.8 > 198.51.100.2:22 proven ttl=44 x5/1ms -> accept
165s   203.0.113.8 > 198.51.100.2:22 proven ttl=44 x4/1ms -> drop rate
166s   203.0.113.8 > 198.51.100.2:22 proven ttl=44 -> drop rate earns suspect
