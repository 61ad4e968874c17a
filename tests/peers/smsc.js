// A carrier made of the npm package `smpp` (0.5.1), by which the tests see that others read what we write.
//
//   node smsc.js [OPTIONS]      then one JSON object a line on stdout, {"listening": port} first
//
// OPTIONS is a JSON object: {"pem": a file with key and certificate for TLS, "throttle": how many submits are refused
// with RTHROTTLED at first, "hangUp": after how many submits the line is cut once, the last of them unanswered}.
//
// It joins long texts with its own decoder, gives receipts whose ids are decimal where its answers were
// hexadecimal, and sends every whole text back to its sender, cut again by itself.

'use strict';

const fs = require('fs');
const smpp = require('smpp');

const options = JSON.parse(process.argv[2] || '{}');
const PASSWORD = 'secret';
const UNITS = 67; // of UCS-2 in a part with a header of six octets
let taken = 0x9f0000;
let throttled = 0;
let seen = 0;
let receiver = null; // the line bound for receipts alone, where there is one

const tell = (what) => process.stdout.write(JSON.stringify(what) + '\n');

function submitted(session, pieces, pdu) {
  seen += 1;
  if (seen === options.hangUp) {
    session.socket.destroy();
  } else if (throttled < (options.throttle || 0)) {
    throttled += 1;
    session.send(pdu.response({ command_status: smpp.ESME_RTHROTTLED }));
    tell({ throttled });
  } else {
    receive(session, pieces, pdu);
  }
}

// A data_sm has its text as payload; the rest is that of a submit_sm.
function fromPayload(session, pdu) {
  const number = ++taken;
  session.send(pdu.response({ message_id: number.toString(16) }));
  sendReceipt(session, pdu, number);
  tell({ whole: pdu.message_payload.message, from: pdu.source_addr, to: pdu.destination_addr });
}

function receive(session, pieces, pdu) {
  const number = ++taken;
  session.send(pdu.response({ message_id: number.toString(16) }));
  sendReceipt(session, pdu, number);
  const header = (pdu.short_message.udh || []).find((element) => element[0] === 0);
  if (!header) {
    tell({ whole: pdu.short_message.message, from: pdu.source_addr, to: pdu.destination_addr });
    return;
  }
  const [reference, total, place] = header.subarray(2);
  const found = pieces[reference] || (pieces[reference] = {});
  found[place] = pdu.short_message.message;
  if (Object.keys(found).length === total) {
    const whole = Array.from({ length: total }, (_, index) => found[index + 1]).join('');
    tell({ whole, from: pdu.source_addr, to: pdu.destination_addr });
    sendBack(session, pdu, whole);
  }
}

function sendReceipt(session, pdu, number) {
  const id = String(number).padStart(10, '0');
  const words = `id:${id} sub:001 dlvrd:001 submit date:2605281200 done date:2605281201 stat:DELIVRD err:000 text:`;
  deliver(session, pdu, { esm_class: 4, short_message: words });
}

function sendBack(session, pdu, whole) {
  const total = Math.ceil(whole.length / UNITS);
  for (let place = total; place > 0; place--) { // the last part first: the order of parts is no promise
    const message = whole.slice((place - 1) * UNITS, place * UNITS);
    const udh = Buffer.from([5, 0, 3, 77, total, place]);
    deliver(session, pdu, { data_coding: 8, short_message: { udh, message } });
  }
}

function deliver(session, pdu, fields) {
  (receiver || session).deliver_sm({
    source_addr_ton: pdu.dest_addr_ton,
    source_addr_npi: pdu.dest_addr_npi,
    source_addr: pdu.destination_addr,
    dest_addr_ton: pdu.source_addr_ton,
    dest_addr_npi: pdu.source_addr_npi,
    destination_addr: pdu.source_addr,
    ...fields,
  }, (answer) => tell({ thanked: answer.command_status }));
}

function bound(session, pdu, mode) {
  const isKnown = pdu.password === PASSWORD;
  session.send(pdu.response({ system_id: 'npm', command_status: isKnown ? 0 : smpp.ESME_RINVPASWD }));
  if (isKnown && mode === 'receiver') {
    receiver = session;
  }
  tell({ bind: pdu.system_id, known: isKnown, mode });
}

function serve(session) {
  const pieces = {};
  for (const mode of ['transceiver', 'transmitter', 'receiver']) {
    session.on(`bind_${mode}`, (pdu) => bound(session, pdu, mode));
  }
  session.on('submit_sm', (pdu) => submitted(session, pieces, pdu));
  session.on('data_sm', (pdu) => fromPayload(session, pdu));
  session.on('query_sm', (pdu) => {
    session.send(pdu.response({ message_id: pdu.message_id, message_state: 2 }));
    tell({ asked: pdu.message_id });
  });
  session.on('enquire_link', (pdu) => session.send(pdu.response()));
  session.on('unbind', (pdu) => {
    session.send(pdu.response());
    session.close();
    tell({ unbound: true });
  });
  session.on('error', (error) => tell({ error: String(error) }));
}

const pem = options.pem && fs.readFileSync(options.pem);
const server = pem ? smpp.createServer({ key: pem, cert: pem }, serve) : smpp.createServer(serve);

server.listen(0, '127.0.0.1', () => tell({ listening: server.address().port }));
