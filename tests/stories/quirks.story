# Packets that no honest stack sends.
  [ports]
  open = "80"
  [bans]
  after = 100

0s     203.0.113.1 > 198.51.100.2:80 flags=SF    -> drop quirks
0s     203.0.113.1 > 198.51.100.2:80 flags=SR    -> drop quirks
0s     203.0.113.1 > 198.51.100.2:80 flags=F     -> drop quirks
0s     203.0.113.1 > 198.51.100.2:80 flags=-     -> drop quirks
0s     203.0.113.1 > 198.51.100.2:80 flags=FPU   -> drop quirks
0s     203.0.113.1 > 198.51.100.2:80 data=10     -> drop quirks
0s     203.0.113.1 > 198.51.100.2:80 data=10 tfo -> accept
# Only odd: let in, and counted; the fourth makes a suspect.
1s     203.0.113.2 > 198.51.100.2:80 length=300  -> accept
1s     203.0.113.2 > 198.51.100.2:80 broken      -> accept
1s     203.0.113.2 > 198.51.100.2:80 broken      -> accept
1s     203.0.113.2 > 198.51.100.2:80 broken      -> accept earns suspect
1s     203.0.113.2 > 198.51.100.2:80             -> drop standing
