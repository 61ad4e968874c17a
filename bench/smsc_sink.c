/*
 * smsc_sink - a stand-in for an SMSC, so fast that it is never what limits a measurement (bench/peers.py, restart.py).
 *
 * It is no part of the product and keeps nothing: a load tool for the loopback, in C so that Kannel and Carillon meet
 * the same far end, at well under a tenth of either's cost.  One thread, one epoll loop.  Speaks enough SMPP 3.4:
 * bind_receiver / bind_transmitter / bind_transceiver, submit_sm, enquire_link, unbind, deliver_sm_resp.  It sends a
 * delivery receipt for each accepted submit, originates texts from phones (MO), and answers HTTP for Kannel's get-url.
 *
 * Build:  cc -O2 -Wall -o smsc_sink smsc_sink.c      (bench/peers.py does that by itself, in a temporary folder)
 *
 * Options
 *   -p PORT    listen port (default 2775; 0 = any)       -a ADDR  listen address (127.0.0.1)
 *   -d MODE    receipts: 0 never (default), 1 when registered_delivery asks, 2 always
 *   -D MS      delay each receipt by MS milliseconds (default 0)
 *   -W N       at most N unacknowledged receipts per connection (0 = no limit)
 *   -x         scrambled message ids instead of counting ones (a random key for the store)
 *   -M N       send N MO messages, once a receiving bind is up
 *   -w N       MO window: at most N MO outstanding (default 100)
 *   -R         an MO stays outstanding until a submit_sm to its number comes back
 *              (round trip), not only until its deliver_sm_resp
 *   -g         send the first MO only after SIGUSR2, for a gateway that binds before it can answer
 *   -T TEXT    MO text (default "hello world 1")   -S NUM  MO destination (default 12345)
 *   -t N       accept at most N submits a second, answer the rest ESME_RTHROTTLED
 *   -e N       answer every Nth submit with ESME_RSUBMITFAIL
 *   -l MS      answer submits MS milliseconds late (default 0)
 *   -H PORT    also answer any HTTP request there with a short text (0 = any port)
 *   -n N       leave after N accepted submits, once every receipt has gone out and was acknowledged
 *   -i SEC     leave after SEC seconds without a PDU, once one submit was seen (0 = never)
 *   -o FILE    write "id source destination registered esm text-as-hex" per submit
 *   -v         a line a second on standard error
 * Says which ports it listens on first (smpp=PORT http=PORT).  Reports on standard output when it leaves and on SIGUSR1
 * (then also clears the counters); SIGTERM and SIGINT make it leave.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { BIND_RX = 1, BIND_TX = 2, SUBMIT = 4, DELIVER = 5, UNBIND = 6, BIND_TRX = 9, ENQ = 0x15 };
#define RESP 0x80000000u
#define INBUF (1 << 18)
#define MAXC 4096

struct buf { char *p; size_t len, cap, off; };
struct rcpt { double due; uint32_t id; char src[22], dst[22]; };
struct late { double due; uint32_t seq, status; uint32_t id; };
struct conn {
    int fd, bound, want_out, http;
    char sysid[17];
    char *in; size_t inlen;
    struct buf out;
    uint32_t seq;
    long unacked;
    struct rcpt *q; size_t qh, qt, qcap;      /* receipts waiting */
    struct late *lq; size_t lh, lt, lcap;     /* answers waiting */
};

static int dlr_mode, rt_mode, verbose, scramble, port = 2775, web_port = -1;
static long dlr_delay, dlr_win, mo_total, mo_win = 100, thr, errn, late_ms, stop_n, idle_s;
static const char *mo_text = "hello world 1", *mo_dst = "12345", *addr = "127.0.0.1";
static FILE *outf;
static int ep;
static struct conn *conns[MAXC];
static int nconn;
static volatile sig_atomic_t quit_flag, report_flag, go_flag = 1;

static unsigned long n_sub, n_ok, n_thr, n_err, n_dlr, n_dlr_ack, n_web, n_mo, n_mo_ack, n_rt, n_enq, n_bind, n_bytes, n_reads;
static double t_first, t_last, t_mo_first, t_rt_last, t_dlr_first, t_dlr_last, t_ack_last, t_any;
static uint32_t next_id = 1;
static double *mo_sent; static float *mo_lat;
static const double EPOCH_BASE = 0;

static double now(void) { struct timespec t; clock_gettime(CLOCK_MONOTONIC, &t); return t.tv_sec + t.tv_nsec / 1e9 + EPOCH_BASE; }
static void die(const char *m) { perror(m); exit(1); }
static uint32_t rd32(const char *p) { uint32_t v; memcpy(&v, p, 4); return ntohl(v); }
static void wr32(char *p, uint32_t v) { v = htonl(v); memcpy(p, &v, 4); }

static char *grow(struct buf *b, size_t n) {
    if (b->off && b->off == b->len) b->off = b->len = 0;
    if (b->len + n > b->cap) {
        size_t c = b->cap ? b->cap : 65536;
        while (c < b->len + n) c *= 2;
        b->p = realloc(b->p, c); b->cap = c;
        if (!b->p) die("realloc");
    }
    return b->p + b->len;
}
static void put_hdr(char *p, uint32_t len, uint32_t cmd, uint32_t st, uint32_t seq) {
    wr32(p, len); wr32(p + 4, cmd); wr32(p + 8, st); wr32(p + 12, seq);
}
static void put_resp(struct conn *c, uint32_t cmd, uint32_t st, uint32_t seq, const char *body, size_t n) {
    char *p = grow(&c->out, 16 + n);
    put_hdr(p, 16 + n, cmd, st, seq);
    if (n) memcpy(p + 16, body, n);
    c->out.len += 16 + n;
}
static void answer_submit(struct conn *c, uint32_t seq, uint32_t st, uint32_t id) {
    char s[12]; int n = 0;
    if (!st) n = sprintf(s, "%08x", id) + 1;
    put_resp(c, SUBMIT | RESP, st, seq, s, n);
}
static void put_deliver(struct conn *c, const char *src, const char *dst, int esm, const char *txt, size_t tn) {
    size_t sl = strlen(src), dl = strlen(dst), n = 16 + 1 + 2 + sl + 1 + 2 + dl + 1 + 3 + 1 + 1 + 1 + 1 + 1 + 1 + 1 + tn;
    char *p = grow(&c->out, n), *q = p + 16;
    put_hdr(p, n, DELIVER, 0, ++c->seq);
    *q++ = 0;                                                   /* service_type */
    *q++ = 1; *q++ = 1; memcpy(q, src, sl + 1); q += sl + 1;    /* source */
    *q++ = 1; *q++ = 1; memcpy(q, dst, dl + 1); q += dl + 1;    /* destination */
    *q++ = esm; *q++ = 0; *q++ = 0;                             /* esm_class, protocol, priority */
    *q++ = 0; *q++ = 0;                                         /* schedule, validity */
    *q++ = 0; *q++ = 0; *q++ = 0; *q++ = 0;                     /* registered, replace, coding, default id */
    *q++ = (char)tn; memcpy(q, txt, tn); q += tn;
    c->out.len += q - p;
    wr32(p, q - p);
}
static struct conn *receiver_for(struct conn *c) {
    if (c->bound != BIND_TX) return c;
    for (int i = 0; i < nconn; i++)
        if (conns[i]->bound && conns[i]->bound != BIND_TX && !strcmp(conns[i]->sysid, c->sysid)) return conns[i];
    return NULL;
}
static char day[16];
static void send_receipt(struct conn *c, struct rcpt *r) {
    char t[128];
    int n = sprintf(t, "id:%08x sub:001 dlvrd:001 submit date:%s done date:%s stat:DELIVRD err:000 text:", r->id, day, day);
    put_deliver(c, r->dst, r->src, 4, t, n);
    c->unacked++; n_dlr++;
    t_dlr_last = t_any; if (!t_dlr_first) t_dlr_first = t_any;
}
static void queue_receipt(struct conn *c, struct rcpt *r) {
    if (c->qt - c->qh == c->qcap) {
        size_t nc = c->qcap ? c->qcap * 2 : 1024, n = c->qt - c->qh;
        struct rcpt *q = malloc(nc * sizeof *q);
        for (size_t i = 0; i < n; i++) q[i] = c->q[(c->qh + i) % c->qcap];
        free(c->q); c->q = q; c->qh = 0; c->qt = n; c->qcap = nc;
    }
    c->q[c->qt++ % c->qcap] = *r;
}
static void pump_receipts(struct conn *c, double t) {
    while (c->qh != c->qt && (!dlr_win || c->unacked < dlr_win) && c->q[c->qh % c->qcap].due <= t) {
        send_receipt(c, &c->q[c->qh % c->qcap]); c->qh++;
    }
}
static void pump_late(struct conn *c, double t) {
    while (c->lh != c->lt && c->lq[c->lh % c->lcap].due <= t) {
        struct late *l = &c->lq[c->lh++ % c->lcap];
        answer_submit(c, l->seq, l->status, l->id);
    }
}
static void pump_mo(double t) {
    if (!mo_total || !go_flag) return;
    struct conn *c = NULL; static int rr;
    for (int i = 0; i < nconn && !c; i++) { struct conn *k = conns[(i + rr) % nconn]; if (k->bound && k->bound != BIND_TX) c = k; }
    if (!c) return;
    rr++;
    while ((long)n_mo < mo_total && (long)(n_mo - (rt_mode ? n_rt : n_mo_ack)) < mo_win) {
        char src[24]; sprintf(src, "4479%08lu", n_mo);
        if (!n_mo) t_mo_first = t;
        mo_sent[n_mo] = t;
        put_deliver(c, src, mo_dst, 0, mo_text, strlen(mo_text));
        n_mo++;
    }
}
static void set_out(struct conn *c, int on) {
    if (c->want_out == on) return;
    struct epoll_event e = { .events = EPOLLIN | (on ? EPOLLOUT : 0), .data.ptr = c };
    epoll_ctl(ep, EPOLL_CTL_MOD, c->fd, &e); c->want_out = on;
}
static void drop(struct conn *c) {
    for (int i = 0; i < nconn; i++) if (conns[i] == c) { conns[i] = conns[--nconn]; break; }
    close(c->fd); free(c->in); free(c->out.p); free(c->q); free(c->lq); free(c);
}
static int flush_out(struct conn *c) {
    while (c->out.off < c->out.len) {
        ssize_t n = send(c->fd, c->out.p + c->out.off, c->out.len - c->out.off, MSG_NOSIGNAL);
        if (n < 0) { if (errno == EAGAIN) { set_out(c, 1); return 0; } return -1; }
        c->out.off += n;
    }
    c->out.off = c->out.len = 0; set_out(c, 0);
    return 0;
}
static const char *cstr(const char **p, const char *end) {
    const char *s = *p, *z = memchr(s, 0, end - s);
    if (!z) { *p = end; return ""; }
    *p = z + 1; return s;
}
static void on_submit(struct conn *c, const char *pdu, uint32_t len, uint32_t seq, double t) {
    const char *p = pdu + 16, *end = pdu + len;
    n_sub++;
    if (!t_first) t_first = t;
    t_last = t;
    cstr(&p, end); p += 2; const char *src = cstr(&p, end); p += 2; const char *dst = cstr(&p, end);
    unsigned esm = 0, reg = 0, sml = 0; const char *sm = p;
    if (p + 3 <= end) { esm = (unsigned char)*p; p += 3; cstr(&p, end); cstr(&p, end); }
    if (p + 5 <= end) { reg = (unsigned char)p[0]; sml = (unsigned char)p[4]; sm = p + 5; }
    uint32_t st = 0, id = 0;
    if (thr) {
        static double tokens, last; 
        if (!last) { last = t; tokens = thr / 10.0 + 1; }
        tokens += (t - last) * thr; last = t;
        if (tokens > thr / 10.0 + 1) tokens = thr / 10.0 + 1;
        if (tokens < 1) { st = 0x58; n_thr++; } else tokens -= 1;
    }
    if (!st && errn && n_sub % errn == 0) { st = 0x45; n_err++; }
    if (!st) { id = next_id++; if (scramble) id *= 2654435761u; n_ok++; }
    if (late_ms) {
        if (c->lt - c->lh == c->lcap) {
            size_t nc = c->lcap ? c->lcap * 2 : 1024, n = c->lt - c->lh;
            struct late *q = malloc(nc * sizeof *q);
            for (size_t i = 0; i < n; i++) q[i] = c->lq[(c->lh + i) % c->lcap];
            free(c->lq); c->lq = q; c->lh = 0; c->lt = n; c->lcap = nc;
        }
        c->lq[c->lt++ % c->lcap] = (struct late){ t + late_ms / 1e3, seq, st, id };
    } else answer_submit(c, seq, st, id);
    if (st) return;
    if (outf) {
        fprintf(outf, "%08x %s %s %u %u ", id, src, dst, reg, esm);
        for (unsigned i = 0; i < sml && sm + i < end; i++) fprintf(outf, "%02x", (unsigned char)sm[i]);
        fputc('\n', outf);
    }
    if (rt_mode && mo_total && !strncmp(dst[0] == '+' ? dst + 1 : dst, "4479", 4)) {
        unsigned long k = strtoul((dst[0] == '+' ? dst + 1 : dst) + 4, NULL, 10);
        if (k < n_mo && mo_sent[k] > 0) { mo_lat[n_rt++] = (float)(t - mo_sent[k]); mo_sent[k] = 0; t_rt_last = t; }
    }
    if (dlr_mode == 2 || (dlr_mode == 1 && (reg & 1))) {
        struct conn *r = receiver_for(c); struct rcpt q = { t + (dlr_delay + late_ms) / 1e3, id, "", "" };
        snprintf(q.src, sizeof q.src, "%s", src); snprintf(q.dst, sizeof q.dst, "%s", dst);
        if (r) { if (dlr_delay || dlr_win || late_ms) queue_receipt(r, &q); else send_receipt(r, &q); }
    }
}
/* any request is answered alike; its body, if any, must come with a Content-Length of 0 or not at all */
static int on_http(struct conn *c) {
    static const char *words = "Thanks, noted.";
    ssize_t n = recv(c->fd, c->in + c->inlen, INBUF - c->inlen, 0);
    if (n <= 0) return n < 0 && errno == EAGAIN ? 0 : -1;
    c->inlen += n;
    size_t o = 0;
    for (char *z; (z = memmem(c->in + o, c->inlen - o, "\r\n\r\n", 4)); o = z + 4 - c->in, n_web++) {
        char *p = grow(&c->out, 128);
        c->out.len += sprintf(p, "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: %zu\r\n\r\n%s", strlen(words), words);
    }
    memmove(c->in, c->in + o, c->inlen - o); c->inlen -= o;
    return 0;
}
/* returns -1 when the connection is gone */
static int on_read(struct conn *c) {
    int gone = 0;
    if (c->http) return on_http(c);
    for (;;) {
        ssize_t n = recv(c->fd, c->in + c->inlen, INBUF - c->inlen, 0);
        if (n == 0) { gone = 1; break; }
        if (n < 0) { if (errno != EAGAIN) gone = 1; break; }
        n_reads++; n_bytes += n;
        int full = (size_t)n == INBUF - c->inlen;
        c->inlen += n;
        size_t o = 0; double t = t_any = now();
        while (c->inlen - o >= 16) {
            char *p = c->in + o; uint32_t len = rd32(p), cmd = rd32(p + 4), seq = rd32(p + 12);
            if (len < 16 || len > 65536) return -1;
            if (c->inlen - o < len) break;
            switch (cmd) {
            case SUBMIT: on_submit(c, p, len, seq, t); break;
            case DELIVER | RESP: if (c->unacked > 0 && n_dlr_ack < n_dlr) { c->unacked--; n_dlr_ack++; t_ack_last = t; } else n_mo_ack++; break;
            case ENQ: n_enq++; put_resp(c, ENQ | RESP, 0, seq, NULL, 0); break;
            case BIND_RX: case BIND_TX: case BIND_TRX: {
                n_bind++; c->bound = cmd; snprintf(c->sysid, sizeof c->sysid, "%.*s", (int)strnlen(p + 16, len - 16), p + 16);
                put_resp(c, cmd | RESP, 0, seq, "sink", 5); break; }
            case UNBIND: put_resp(c, UNBIND | RESP, 0, seq, NULL, 0); c->bound = 0; break;
            case ENQ | RESP: case UNBIND | RESP: case RESP: break;
            default: put_resp(c, RESP, 3, seq, NULL, 0);
            }
            o += len;
        }
        memmove(c->in, c->in + o, c->inlen - o); c->inlen -= o;
        if (!full) break;
    }
    return gone ? -1 : 0;
}
static int cmpf(const void *a, const void *b) { float x = *(float *)a, y = *(float *)b; return x < y ? -1 : x > y; }
static void report(void) {
    struct rusage u; getrusage(RUSAGE_SELF, &u);
    double d = t_last - t_first;
    printf("submits=%lu accepted=%lu throttled=%lu failed=%lu span_s=%.3f submit_per_s=%.0f\n", n_sub, n_ok, n_thr, n_err, d, d > 0 ? (n_sub - 1) / d : 0);
    if (n_dlr) printf("receipts=%lu acked=%lu span_s=%.3f receipt_per_s=%.0f\n", n_dlr, n_dlr_ack, t_ack_last - t_dlr_first, t_ack_last > t_dlr_first ? n_dlr_ack / (t_ack_last - t_dlr_first) : 0);
    if (n_mo) {
        printf("mo=%lu acked=%lu round_trips=%lu span_s=%.3f round_trip_per_s=%.0f mo_per_s=%.0f", n_mo, n_mo_ack, n_rt, (n_rt ? t_rt_last : t_any) - t_mo_first,
               n_rt / ((n_rt ? t_rt_last : t_any) - t_mo_first), n_mo_ack / (t_any - t_mo_first));
        if (n_rt) { qsort(mo_lat, n_rt, sizeof *mo_lat, cmpf); printf(" lat_ms_p50=%.1f p99=%.1f max=%.1f", mo_lat[n_rt / 2] * 1e3, mo_lat[(size_t)(n_rt * .99)] * 1e3, mo_lat[n_rt - 1] * 1e3); }
        printf("\n");
    }
    printf("binds=%lu enquire=%lu http=%lu reads=%lu bytes=%lu sink_cpu_s=%.2f (user %.2f sys %.2f)\n", n_bind, n_enq, n_web, n_reads, n_bytes,
           u.ru_utime.tv_sec + u.ru_utime.tv_usec / 1e6 + u.ru_stime.tv_sec + u.ru_stime.tv_usec / 1e6,
           u.ru_utime.tv_sec + u.ru_utime.tv_usec / 1e6, u.ru_stime.tv_sec + u.ru_stime.tv_usec / 1e6);
    fflush(stdout); if (outf) fflush(outf);
}
static void clear(void) {
    n_sub = n_ok = n_thr = n_err = n_dlr = n_dlr_ack = n_enq = n_bytes = n_reads = n_web = 0;
    t_first = t_last = t_dlr_first = t_dlr_last = t_ack_last = 0;
}
static int receipts_pending(void) {
    for (int i = 0; i < nconn; i++) if (conns[i]->qh != conns[i]->qt || conns[i]->lh != conns[i]->lt) return 1;
    return n_dlr != n_dlr_ack;
}
static int listen_on(int *where) {
    int ls = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), one = 1;
    setsockopt(ls, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    struct sockaddr_in sin = { .sin_family = AF_INET, .sin_port = htons(*where) }; socklen_t n = sizeof sin;
    if (inet_pton(AF_INET, addr, &sin.sin_addr) != 1) die("address");
    if (bind(ls, (void *)&sin, sizeof sin) || listen(ls, 512) || getsockname(ls, (void *)&sin, &n)) die("listen");
    *where = ntohs(sin.sin_port);
    return ls;
}
static void on_sig(int s) { if (s == SIGUSR1) report_flag = 1; else if (s == SIGUSR2) go_flag = 1; else quit_flag = 1; }

int main(int argc, char **argv) {
    int o;
    while ((o = getopt(argc, argv, "p:a:d:D:W:xM:w:RT:S:t:e:l:n:i:o:vgH:")) != -1) switch (o) {
        case 'p': port = atoi(optarg); break;     case 'a': addr = optarg; break;
        case 'd': dlr_mode = atoi(optarg); break; case 'D': dlr_delay = atol(optarg); break;
        case 'W': dlr_win = atol(optarg); break;  case 'M': mo_total = atol(optarg); break;
        case 'w': mo_win = atol(optarg); break;   case 'R': rt_mode = 1; break;
        case 'T': mo_text = optarg; break;        case 'S': mo_dst = optarg; break;
        case 'g': go_flag = 0; break;             case 'H': web_port = atoi(optarg); break;
        case 't': thr = atol(optarg); break;      case 'e': errn = atol(optarg); break;
        case 'l': late_ms = atol(optarg); break;  case 'n': stop_n = atol(optarg); break;
        case 'i': idle_s = atol(optarg); break;   case 'v': verbose = 1; break;      case 'x': scramble = 1; break;
        case 'o': outf = fopen(optarg, "w"); if (!outf) die(optarg); break;
        default: fprintf(stderr, "see the head of smsc_sink.c\n"); return 2;
    }
    if (mo_total) { mo_sent = calloc(mo_total, sizeof *mo_sent); mo_lat = calloc(mo_total, sizeof *mo_lat); }
    signal(SIGPIPE, SIG_IGN);
    struct sigaction sa = { .sa_handler = on_sig };
    sigaction(SIGINT, &sa, NULL); sigaction(SIGTERM, &sa, NULL); sigaction(SIGUSR1, &sa, NULL); sigaction(SIGUSR2, &sa, NULL);
    time_t tt = time(NULL); strftime(day, sizeof day, "%y%m%d%H%M", gmtime(&tt));
    int one = 1, ls = listen_on(&port), ws = web_port < 0 ? -1 : listen_on(&web_port);
    static struct conn web;
    ep = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event le = { .events = EPOLLIN, .data.ptr = NULL };
    epoll_ctl(ep, EPOLL_CTL_ADD, ls, &le);
    struct epoll_event we = { .events = EPOLLIN, .data.ptr = &web };
    if (ws >= 0) epoll_ctl(ep, EPOLL_CTL_ADD, ws, &we);
    printf("smpp=%d http=%d\n", port, web_port); fflush(stdout);
    struct epoll_event ev[256]; unsigned long vlast = 0; double vt = now();
    while (!quit_flag) {
        int timed = dlr_delay || late_ms;
        int n = epoll_wait(ep, ev, 256, timed ? 1 : 200);
        double t = now();
        if (report_flag) { report_flag = 0; report(); clear(); }
        for (int i = 0; i < n; i++) {
            struct conn *c = ev[i].data.ptr;
            if (!c || c == &web) {
                int is_web = c == &web;
                for (int fd; (fd = accept4(is_web ? ws : ls, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0;) {
                    if (nconn == MAXC) { close(fd); continue; }
                    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
                    c = calloc(1, sizeof *c); c->fd = fd; c->http = is_web; c->in = malloc(INBUF); conns[nconn++] = c;
                    struct epoll_event e = { .events = EPOLLIN, .data.ptr = c };
                    epoll_ctl(ep, EPOLL_CTL_ADD, fd, &e);
                }
                continue;
            }
            int bad = 0;
            if (ev[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR)) bad = on_read(c);
            if (bad) { drop(c); for (int k = i + 1; k < n; k++) if (ev[k].data.ptr == c) ev[k].events = 0; continue; }
        }
        pump_mo(t);
        for (int i = 0; i < nconn;) {
            struct conn *c = conns[i];
            if (c->lh != c->lt) pump_late(c, t);
            if (c->qh != c->qt) pump_receipts(c, t);
            if (c->out.off < c->out.len && flush_out(c)) { drop(c); continue; }
            i++;
        }
        if (verbose && t - vt >= 1) { fprintf(stderr, "%lu/s total %lu receipts %lu acked %lu mo %lu rt %lu\n", n_sub - vlast, n_sub, n_dlr, n_dlr_ack, n_mo, n_rt); vlast = n_sub; vt = t; }
        if (idle_s && t_first && t - t_any > idle_s) break;
        if (stop_n && (long)n_ok >= stop_n && !receipts_pending()) break;
    }
    report();
    return 0;
}
