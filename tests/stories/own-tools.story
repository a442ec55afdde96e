# An admin's own tool can be let through; the allow list wins over every header.
  [ports]
  open = "22, 80"
  [fingerprint]
  ignore = ["hping3"]
  [allowlist]
  from = ["192.0.2.0/24"]

0s     203.0.113.2 > 198.51.100.2:80 window=512 bare ack=7 ttl=60 -> accept
1s     203.0.113.1 > 198.51.100.2:80 window=1024 mss ttl=50 -> drop fingerprint
2s     192.0.2.1 > 198.51.100.2:80 window=1024 mss ttl=50 x50/1ms -> accept
3s     192.0.2.1 > 198.51.100.2:9999 x50/1ms     -> accept
