# Scanning tools are known by their first SYN, at served ports too; the second makes a suspect.
  [ports]
  open = "22, 80"

0s     203.0.113.1 > 198.51.100.2:80 window=1024 mss ttl=50 -> drop fingerprint
0s     203.0.113.1 > 198.51.100.2:22 window=1024 mss ttl=44 -> drop fingerprint earns suspect
1s     203.0.113.2 > 198.51.100.2:80 window=512 bare ack=7 ttl=60 -> drop fingerprint
# A controller that writes what an old nmap wrote is let in…
2s     203.0.113.3 > 198.51.100.2:80 window=4096 mss ttl=50 -> accept
2s     203.0.113.3 > 198.51.100.2:80 window=4096 mss ttl=50 x9/1s -> accept
# …and so is an old device without options.
20s    203.0.113.4 > 198.51.100.2:80 bare x30/1s -> accept
# IPv6 has no fragment bit to tell by.
50s    [2001:db8::1]:5 > [2001:db8:9::2]:80 window=1024 mss ttl=50 -> accept
