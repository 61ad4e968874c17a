#!/usr/bin/perl
# A program made of Net::SMPP (Debian: libnet-smpp-perl) that binds to Carillon as to an SMSC.
#
#   perl esme.pl PORT PASSWORD TO TEXT DELIVERIES      then lines of words on stdout
use strict;
use warnings;
use Net::SMPP;

$| = 1;
my ($port, $password, $to, $text, $deliveries) = @ARGV;
my ($smpp, $answer) = Net::SMPP->new_transceiver(
    '127.0.0.1', port => $port, system_id => 'shop', password => $password, smpp_version => 0x34)
    or die "no connection: $!";
print "bound $answer->{status}\n";
exit 0 if $answer->{status};
my @pieces = length($text) > 160 ? unpack('(a153)*', $text) : $text ? ($text) : ();
my $place = 0;
for my $piece (@pieces) {
    $place += 1;
    my $header = @pieces > 1 ? pack('C6', 5, 0, 3, 9, scalar(@pieces), $place) : '';
    my $taken = $smpp->submit_sm(
        source_addr_ton => 3, source_addr => '20655', dest_addr_ton => 1, dest_addr_npi => 1,
        destination_addr => $to, registered_delivery => 1, esm_class => ($header ? 0x40 : 0),
        short_message => $header . $piece) or die "no answer: $!";
    print "taken $taken->{status} $taken->{message_id}\n";
}
while ($deliveries > 0) {
    my $pdu = $smpp->read_pdu() or die "the line is gone: $!";
    if ($pdu->{cmd} == 5) {
        $smpp->deliver_sm_resp(seq => $pdu->{seq}, message_id => '');
        print "delivered $pdu->{esm_class} $pdu->{source_addr} $pdu->{short_message}\n";
        $deliveries -= 1;
    } elsif ($pdu->{cmd} == 0x15) {
        $smpp->enquire_link_resp(seq => $pdu->{seq});
    }
}
my $bye = $smpp->unbind();
print "unbound $bye->{status}\n";
