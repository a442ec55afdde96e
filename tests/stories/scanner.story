# A port scanner meets closed ports; the fifth makes it a suspect, and then even the open one
# does not answer it.
  [ports]
  open = "80"
  suspicious = "31337, 4444"

0s     203.0.113.7 > 198.51.100.2:21             -> drop ports
0.1s   203.0.113.7 > 198.51.100.2:22             -> drop ports
0.2s   203.0.113.7 > 198.51.100.2:25             -> drop ports
0.3s   203.0.113.7 > 198.51.100.2:25 again       -> drop ports
0.35s  203.0.113.7 > 198.51.100.2:25             -> drop ports
0.4s   203.0.113.7 > 198.51.100.2:26             -> drop ports
0.5s   203.0.113.7 > 198.51.100.2:27             -> drop scan earns suspect
0.6s   203.0.113.7 > 198.51.100.2:80             -> drop standing
# A suspicious port weighs three.
1s     203.0.113.8 > 198.51.100.2:31337          -> drop ports
2s     203.0.113.8 > 198.51.100.2:4444           -> drop ports earns suspect
# Hosts of one IPv6 /64 are one source.
3s     [2001:db8::1]:1 > [2001:db8:9::2]:1       -> drop ports
3s     [2001:db8::2]:1 > [2001:db8:9::2]:2       -> drop ports
3s     [2001:db8::3]:1 > [2001:db8:9::2]:3       -> drop ports
3s     [2001:db8::4]:1 > [2001:db8:9::2]:4       -> drop ports
3s     [2001:db8::5]:1 > [2001:db8:9::2]:5       -> drop scan earns suspect
3s     [2001:db8:0:1::5]:1 > [2001:db8:9::2]:6   -> drop ports
