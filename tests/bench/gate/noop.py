"""The rival in Python: accepts everything, as NetfilterQueue's own example does. A SYN to port 81
makes it say how many it has answered."""

import sys

from netfilterqueue import NetfilterQueue

answered = 0


def judge(packet):
    global answered
    asked = packet.get_payload()[22:24] == b"\x00\x51"
    packet.accept()
    answered += 1
    if asked:
        print(answered, flush=True)


queue = NetfilterQueue()
queue.bind(int(sys.argv[1]), judge, max_len=16384, range=256, sock_len=1344 * 8192 // 2)
print(0, flush=True)
queue.run()
