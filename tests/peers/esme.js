// A program made of the npm package `smpp` (0.5.1) that binds to Carillon as to an SMSC.
//
//   node esme.js OPTIONS      then one JSON object a line on stdout
//
// OPTIONS is a JSON object: {"port", "password", "to", "text": one to send, "pieces": those of one long text, "many":
// how many to send at once, "deliveries": how many deliver_sm to wait for}. It ends with unbind.

'use strict';

const smpp = require('smpp');

const options = JSON.parse(process.argv[2]);
const tell = (what) => process.stdout.write(JSON.stringify(what) + '\n');
const session = smpp.connect({ url: `smpp://127.0.0.1:${options.port}` });
const common = {
  source_addr_ton: 3,
  source_addr: '20655',
  dest_addr_ton: 1,
  dest_addr_npi: 1,
  destination_addr: options.to,
  registered_delivery: 1,
};
let waiting = options.deliveries || 0;
let unanswered = 0;

function endIfDone() {
  if (waiting <= 0 && unanswered === 0) {
    session.unbind(() => {
      tell({ unbound: true });
      session.close();
    });
  }
}

function submit(short_message) {
  unanswered += 1;
  session.submit_sm({ ...common, short_message }, (answer) => {
    unanswered -= 1;
    tell({ status: answer.command_status, id: answer.message_id });
    endIfDone();
  });
}

session.on('pdu', (pdu) => {
  if (pdu.command === 'deliver_sm') {
    session.send(pdu.response());
    const { message, udh } = pdu.short_message;
    tell({
      from: pdu.source_addr,
      message,
      place: udh ? udh[0][4] : 0,
      esm_class: pdu.esm_class,
      receipted: pdu.receipted_message_id,
      state: pdu.message_state,
    });
    waiting -= 1;
    endIfDone();
  } else if (pdu.command === 'enquire_link') {
    session.send(pdu.response());
  }
});
session.on('error', (error) => tell({ error: error.message }));
session.on('close', () => tell({ closed: true }));
session.bind_transceiver({ system_id: 'shop', password: options.password }, (answer) => {
  tell({ bound: answer.command_status });
  if (answer.command_status !== 0) {
    return;
  }
  (options.pieces || []).forEach((message, place, all) => {
    submit({ udh: Buffer.from([5, 0, 3, 77, all.length, place + 1]), message });
  });
  for (let count = 0; count < (options.many || 0); count += 1) {
    submit(`Text ${count}`);
  }
  if (options.text) {
    submit(options.text);
  }
  endIfDone();
});
