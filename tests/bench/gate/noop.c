/* The rival in C: accepts everything, as libnetfilter_queue's own example does. A SYN to port 81
 * makes it say how many it has answered. */
#include <arpa/inet.h>
#include <libnetfilter_queue/libnetfilter_queue.h>
#include <linux/netfilter.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

static unsigned long answered;

static int judge(struct nfq_q_handle *queue, struct nfgenmsg *message, struct nfq_data *data, void *own)
{
	struct nfqnl_msg_packet_hdr *header = nfq_get_msg_packet_hdr(data);
	unsigned char *payload = NULL;
	int length = nfq_get_payload(data, &payload);
	int asked = length >= 24 && payload[22] == 0 && payload[23] == 81;
	int outcome = nfq_set_verdict(queue, ntohl(header->packet_id), NF_ACCEPT, 0, NULL);

	(void)message;
	(void)own;
	answered++;
	if (asked) {
		printf("%lu\n", answered);
		fflush(stdout);
	}
	return outcome;
}

int main(int argc, char **argv)
{
	struct nfq_handle *handle = nfq_open();
	struct nfq_q_handle *queue;
	char buffer[4096] __attribute__((aligned));

	if (!handle || argc < 2)
		return 1;
	queue = nfq_create_queue(handle, (uint16_t)atoi(argv[1]), judge, NULL);
	if (!queue || nfq_set_mode(queue, NFQNL_COPY_PACKET, 256) < 0)
		return 1;
	/* As large as the gate's own: who loses packets gets off lightly. */
	nfnl_rcvbufsiz(nfq_nfnlh(handle), 1344 * 8192 / 2);
	printf("0\n");
	fflush(stdout);
	for (;;) {
		ssize_t length = recv(nfq_fd(handle), buffer, sizeof(buffer), 0);

		if (length >= 0)
			nfq_handle_packet(handle, buffer, length);
	}
}
