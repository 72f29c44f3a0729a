"""Many sockets: "churn ADDRESS N" opens and closes N connections to itself, "hold ADDRESS N" keeps N sockets."""
import resource
import signal
import socket
import sys

what, address, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))

if what == "churn":
    server = socket.create_server((address, 0))
    for i in range(count):
        client = socket.create_connection(server.getsockname())
        peer, name = server.accept()
        assert name == client.getsockname()
        client.sendall(b"x")
        assert peer.recv(1) == b"x"
        client.close()
        assert peer.recv(1) == b""
        peer.close()
    print(count, "done")
else:
    held = [socket.socket(socket.AF_INET, kind) for _ in range(count // 2)
            for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM)]
    for one in held:
        one.bind((address, 0))
    signal.pause()
