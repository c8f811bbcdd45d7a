"""Sends requests and opens channels that no server knows, between known ones; prints every answer in order."""
import sys
import threading

import paramiko
from paramiko.common import MSG_GLOBAL_REQUEST, cMSG_CHANNEL_REQUEST
from paramiko.message import Message

host, port, user, identity = sys.argv[1:5]
client = paramiko.SSHClient()
client.set_missing_host_key_policy(paramiko.AutoAddPolicy())
client.connect(host, int(port), user, key_filename=identity, allow_agent=False, look_for_keys=False, timeout=30)
transport = client.get_transport()

answers = []
arrived = threading.Condition()
succeeded, failed = transport._parse_request_success, transport._parse_request_failure


def record(word, then):
    def parse(self, message):
        with arrived:
            answers.append(word)
            arrived.notify_all()
        return then(message)

    return parse


table = dict(paramiko.Transport._handler_table)
table[paramiko.common.MSG_REQUEST_SUCCESS] = record("yes", succeeded)
table[paramiko.common.MSG_REQUEST_FAILURE] = record("no", failed)
paramiko.Transport._handler_table = table


def ask(kind, *fields):
    message = Message()
    message.add_byte(bytes([80]))
    message.add_string(kind)
    message.add_boolean(True)
    for field in fields:
        (message.add_int if isinstance(field, int) else message.add_string)(field)
    transport._send_user_message(message)


ask("first@nowhere.example")
ask("tcpip-forward", "127.0.0.1", 0)
ask("second@nowhere.example", "some data")
ask("no-more-sessions@nowhere.example")
ask("tcpip-forward", "127.0.0.1", 0)
ask("third@nowhere.example")
with arrived:
    arrived.wait_for(lambda: len(answers) >= 6, timeout=30)
print(" ".join(answers))

try:
    transport.open_channel("strange@nowhere.example", timeout=30)
    print("opened")
except paramiko.ChannelException as refusal:
    print("channel refused with", refusal.code)

channel = transport.open_session()
message = Message()
message.add_byte(cMSG_CHANNEL_REQUEST)
message.add_int(channel.remote_chanid)
message.add_string("strange-request@nowhere.example")
message.add_boolean(True)
message.add_string("payload")
channel._event_pending()
transport._send_user_message(message)
try:
    channel._wait_for_event()
    print("request granted")
except paramiko.SSHException:
    print("request refused")
client.exec_command("true")[1].channel.recv_exit_status()
client.close()
