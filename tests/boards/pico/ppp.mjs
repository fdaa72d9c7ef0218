// The far end of a PPP link (RFC 1661, 1662, 1332): gives the board 10.64.0.2, and is 10.64.0.1,
// behind which lies this machine's loopback, UDP alone. Nothing else is answered, and nothing
// leaves the machine.
// MIT license; Copyright (c) 2026 the microlwm2m authors
import dgram from 'node:dgram';

const FLAG = 0x7e;
const ESCAPE = 0x7d;
const IP = 0x0021;
const IPCP = 0x8021;
const LCP = 0xc021;
const CONFIGURE_REQUEST = 1;
const CONFIGURE_ACK = 2;
const CONFIGURE_NAK = 3;
const CONFIGURE_REJECT = 4;
const TERMINATE_REQUEST = 5;
const TERMINATE_ACK = 6;
const PROTOCOL_REJECT = 8;
const ECHO_REQUEST = 9;
const ECHO_REPLY = 10;
const LCP_KNOWN = [1, 2, 5]; // MRU, ACCM, magic number: no compression, no authentication
const IPCP_ADDRESS = 3;
const UDP = 17;
const ME = [10, 64, 0, 1];
const BOARD = [10, 64, 0, 2];

const FCS = Uint16Array.from({ length: 256 }, (_, value) => {
  for (let bit = 0; bit < 8; bit++) value = value & 1 ? (value >> 1) ^ 0x8408 : value >> 1;
  return value;
});

function fcs(bytes) {
  let sum = 0xffff;
  for (const byte of bytes) sum = (sum >> 8) ^ FCS[(sum ^ byte) & 255];
  return sum;
}

function checksum(bytes) {
  let sum = 0;
  for (let i = 0; i < bytes.length; i += 2) sum += (bytes[i] << 8) | (bytes[i + 1] ?? 0);
  while (sum >> 16) sum = (sum & 0xffff) + (sum >> 16);
  return ~sum & 0xffff;
}

export class Ppp {
  // send: takes the bytes for the board's UART.
  constructor(send) {
    this.send = send;
    this.frame = [];
    this.escaped = false;
    this.asked = new Set();
    this.up = false;
    this.flows = new Map(); // the board's port: a socket of ours, so that a server may speak first
    this.sent = 0;
    this.received = 0;
  }

  close() {
    for (const socket of this.flows.values()) socket.close();
    this.flows.clear();
  }

  // A byte from the board's UART.
  feed(byte) {
    if (byte === FLAG) {
      if (this.frame.length > 4) this.#frame(this.frame);
      this.frame = [];
      this.escaped = false;
    } else if (byte === ESCAPE) {
      this.escaped = true;
    } else {
      this.frame.push(this.escaped ? byte ^ 0x20 : byte);
      this.escaped = false;
    }
  }

  #frame(bytes) {
    if (fcs(bytes) !== 0xf0b8) return;
    bytes = bytes.slice(0, -2);
    if (bytes[0] === 0xff && bytes[1] === 3) bytes = bytes.slice(2);
    const short = bytes[0] & 1;
    const protocol = short ? bytes[0] : (bytes[0] << 8) | bytes[1];
    bytes = bytes.slice(short ? 1 : 2);
    if (protocol === LCP || protocol === IPCP) this.#control(protocol, bytes);
    else if (protocol === IP) this.#ip(Buffer.from(bytes));
    else this.#send(LCP, [PROTOCOL_REJECT, 1, 0, 6 + bytes.length, protocol >> 8, protocol & 255, ...bytes]);
  }

  #control(protocol, bytes) {
    const [code, id] = bytes;
    const length = (bytes[2] << 8) | bytes[3];
    const options = bytes.slice(4, length);
    if (code === CONFIGURE_REQUEST) {
      const [answer, out] = this.#judge(protocol, options);
      this.#send(protocol, [answer, id, 0, 4 + out.length, ...out]);
      // Once a session: a request in the Opened state makes the board negotiate for ever.
      if (!this.asked.has(protocol)) {
        this.asked.add(protocol);
        const ours = protocol === IPCP ? [IPCP_ADDRESS, 6, ...ME] : [];
        this.#send(protocol, [CONFIGURE_REQUEST, 1, 0, 4 + ours.length, ...ours]);
      }
      if (answer === CONFIGURE_ACK && protocol === IPCP) this.up = true;
    } else if (code === ECHO_REQUEST) {
      this.#send(protocol, [ECHO_REPLY, id, 0, length, 0, 0, 0, 0, ...options.slice(4)]);
    } else if (code === TERMINATE_REQUEST) {
      this.up = false;
      this.asked.clear();
      this.#send(protocol, [TERMINATE_ACK, id, 0, 4]);
    }
  }

  #judge(protocol, options) {
    const reject = [];
    const nak = [];
    for (let i = 0; i < options.length; i += options[i + 1] || 1) {
      const option = options.slice(i, i + options[i + 1]);
      if (protocol === LCP) {
        if (!LCP_KNOWN.includes(option[0])) reject.push(...option);
      } else if (option[0] !== IPCP_ADDRESS) {
        reject.push(...option);
      } else if (option.slice(2).join() !== BOARD.join()) {
        nak.push(IPCP_ADDRESS, 6, ...BOARD);
      }
    }
    if (reject.length) return [CONFIGURE_REJECT, reject];
    return nak.length ? [CONFIGURE_NAK, nak] : [CONFIGURE_ACK, options];
  }

  #send(protocol, bytes) {
    const frame = [0xff, 3, protocol >> 8, protocol & 255, ...bytes];
    const sum = ~fcs(frame) & 0xffff;
    frame.push(sum & 255, sum >> 8);
    const line = [FLAG];
    for (const byte of frame) {
      if (byte < 0x20 || byte === ESCAPE || byte === FLAG) line.push(ESCAPE, byte ^ 0x20);
      else line.push(byte);
    }
    line.push(FLAG);
    this.send(line);
  }

  #ip(packet) {
    const head = (packet[0] & 15) * 4;
    if (packet[9] !== UDP || [...packet.subarray(16, 20)].join() !== ME.join()) return;
    const from = packet.readUInt16BE(head);
    const to = packet.readUInt16BE(head + 2);
    const data = packet.subarray(head + 8, head + packet.readUInt16BE(head + 4));
    let socket = this.flows.get(from);
    if (!socket) {
      socket = dgram.createSocket('udp4');
      socket.bind(0, '127.0.0.1');
      socket.on('error', () => {}); // nobody listens there: a datagram lost
      socket.on('message', (datagram, peer) => this.#udp(peer.port, from, datagram));
      this.flows.set(from, socket);
    }
    this.sent++;
    socket.send(data, to, '127.0.0.1');
  }

  #udp(from, to, data) {
    const packet = Buffer.alloc(28 + data.length);
    packet[0] = 0x45;
    packet.writeUInt16BE(packet.length, 2);
    packet[8] = 64; // time to live
    packet[9] = UDP;
    packet.set(ME, 12);
    packet.set(BOARD, 16);
    packet.writeUInt16BE(checksum(packet.subarray(0, 20)), 10);
    packet.writeUInt16BE(from, 20);
    packet.writeUInt16BE(to, 22);
    packet.writeUInt16BE(8 + data.length, 24);
    packet.set(data, 28);
    this.received++;
    this.#send(IP, [...packet]);
  }
}
