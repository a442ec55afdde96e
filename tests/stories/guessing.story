# Somebody who hammers ssh is throttled at once, and after five refused attempts a suspect.
  [ports]
  open = "22"

0s     203.0.113.7 > 198.51.100.2:22 x5/100ms    -> accept
1s     203.0.113.7 > 198.51.100.2:22 x4/100ms    -> drop rate
2s     203.0.113.7 > 198.51.100.2:22             -> drop rate earns suspect
# Calming down is enough to be let in again, but a suspect must show that it hears us.
60s    203.0.113.7 > 198.51.100.2:22 suspect       -> drop standing
61.1s  203.0.113.7 > 198.51.100.2:22 suspect again -> accept
# Others are not concerned.
62s    203.0.113.8 > 198.51.100.2:22             -> accept
