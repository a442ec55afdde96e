# Everything that a source has against it is guessing at a service whose bans close one port only.
# The judge says the same as ever; what the ban closes is told by explain, list and log.
  [ports]
  open = "22"
  [rate.class.login]
  ban = "port"

0s     203.0.113.7 > 198.51.100.2:22             -> accept
1s     203.0.113.7 > 198.51.100.2:22 proven x4/10ms -> accept
2s     203.0.113.7 > 198.51.100.2:22 proven x4/100ms -> drop rate
3s     203.0.113.7 > 198.51.100.2:22 proven      -> drop rate earns banned at port
# What somebody else does in its name makes no more of it.
700s   203.0.113.8 > 198.51.100.2:22 flags=SF    -> drop quirks
701s   203.0.113.8 > 198.51.100.2:22             -> accept
702s   203.0.113.8 > 198.51.100.2:22 proven x4/10ms -> accept
703s   203.0.113.8 > 198.51.100.2:22 proven x3/100ms -> drop rate
704s   203.0.113.8 > 198.51.100.2:22 proven      -> drop rate earns suspect
705s   203.0.113.8 > 198.51.100.2:22 proven suspect -> drop rate earns banned at port
# One other offence among them, and the ban is for everything.
1000s  203.0.113.7 > 198.51.100.2:22 proven x5/10ms -> accept
1001s  203.0.113.7 > 198.51.100.2:22 proven flags=SF -> drop quirks
1002s  203.0.113.7 > 198.51.100.2:22 proven x3/100ms -> drop rate
1003s  203.0.113.7 > 198.51.100.2:22 proven      -> drop rate earns banned
