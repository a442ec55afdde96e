# Trust wins over everything, refusal over the rest.
  [allowlist]
  from = ["192.0.2.0/24", "2001:db8:a::/48"]
  [denylist]
  from = ["203.0.113.0/24", "192.0.2.7/32"]
  [ports]
  open = "80, 22"
  [ports.only_from]
  "22" = ["198.51.100.0/24"]
  [bans]
  after = 3

0s     192.0.2.7 > 198.51.100.2:9999 x50/1ms     -> accept
0s     192.0.2.8 > 198.51.100.2:80 flags=SF      -> accept
0s     [2001:db8:a:1::1]:5 > [2001:db8:9::2]:9   -> accept
1s     203.0.113.9 > 198.51.100.2:80             -> drop denylist
2s     203.0.113.9 > 198.51.100.2:80             -> drop denylist
3s     203.0.113.9 > 198.51.100.2:80             -> drop denylist earns suspect
4s     198.51.100.9 > 198.51.100.2:22            -> accept
5s     198.18.0.1 > 198.51.100.2:22              -> drop ports
6s     198.18.0.1 > 198.51.100.2:80              -> accept
