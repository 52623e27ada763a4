"""A small runtime that streams its responses: each event is a list of steps, and the client says what they are.

Of an HTTP request its body is that list.

write TEXT            the text is a chunk
fill BYTES            so many bytes, in chunks of 64 KiB
gate                  wait until somebody connects to the gate, a port of this environment
hang, exit STATUS     stop here
break                 close the connection in the middle of the response
trailers TYPE BODY    end the response, with an error
error TYPE BODY       no response, but an error
answer TEXT           a response that is not streamed
chunks TEXT           the same in chunks, which is how Go's client sends whatever it sends

A response that was begun ends with the last step. The first step may be {"headers": ...} for the response.
"""

import base64
import http.client
import json
import os
import signal
import socket

API = os.environ["AWS_LAMBDA_RUNTIME_API"]
INVOCATION = "/2018-06-01/runtime/invocation/"
GATE_PORT = 8070
PIECE = 1 << 16

host = API.rpartition(":")[0]
own = host if host.startswith("127.") and host != "127.0.0.1" else "0.0.0.0"
gate = socket.create_server((own, GATE_PORT))
connection = http.client.HTTPConnection(API)
served = 0


class Response:
    """One response: chunks, and perhaps trailers."""

    def __init__(self, request_id, headers):
        self.http = http.client.HTTPConnection(API)
        self.http.putrequest("POST", f"{INVOCATION}{request_id}/response", skip_accept_encoding=True)
        self.http.putheader("Lambda-Runtime-Function-Response-Mode", "streaming")
        self.http.putheader("Transfer-Encoding", "chunked")
        self.http.putheader("Trailer", "Lambda-Runtime-Function-Error-Type, Lambda-Runtime-Function-Error-Body")
        for name, value in headers.items():
            self.http.putheader(name, value)
        self.http.endheaders()

    def write(self, chunk):
        self.http.send(b"%x\r\n%b\r\n" % (len(chunk), chunk))

    def end(self, trailers=""):
        self.http.send(f"0\r\n{trailers}\r\n".encode())
        answer = self.http.getresponse()
        print(f"answered {answer.status} {answer.read().decode().strip()}")
        self.http.close()


def post(path, body, headers):
    connection.request("POST", path, body, headers)
    connection.getresponse().read()


def serve(request_id, steps):
    headers = steps.pop(0)["headers"] if steps and isinstance(steps[0], dict) else {}
    response = None
    for step, *arguments in steps:
        if step == "error":
            kind, body = arguments
            post(
                f"{INVOCATION}{request_id}/error",
                json.dumps(body),
                {"Lambda-Runtime-Function-Error-Type": kind},
            )
            return
        if step == "chunks":
            post(f"{INVOCATION}{request_id}/response", iter([arguments[0].encode()]), {})
            return
        if step == "answer":
            post(f"{INVOCATION}{request_id}/response", arguments[0], {})
            return
        if step == "gate":
            gate.accept()[0].close()
            continue
        if step == "hang":
            signal.pause()
        if step == "exit":
            os._exit(arguments[0])
        response = response or Response(request_id, headers)
        if step == "write":
            response.write(arguments[0].encode())
        elif step == "fill":
            for begin in range(0, arguments[0], PIECE):
                response.write(b"x" * min(PIECE, arguments[0] - begin))
        elif step == "break":
            response.http.close()
            return
        elif step == "trailers":
            kind, body = arguments
            encoded = base64.b64encode(json.dumps(body).encode()).decode()
            response.end(
                f"Lambda-Runtime-Function-Error-Type: {kind}\r\nLambda-Runtime-Function-Error-Body: {encoded}\r\n"
            )
            return
    (response or Response(request_id, headers)).end()


while True:
    connection.request("GET", INVOCATION + "next")
    answer = connection.getresponse()
    event = json.loads(answer.read())
    served += 1
    if isinstance(event, dict) and "requestContext" in event:
        event = json.loads(event["body"])  # of an HTTP request
    if event == "count":
        event = [["answer", str(served)]]
    serve(answer.getheader("Lambda-Runtime-Aws-Request-Id"), event)
