#include "cli/tail_stream.h"

#include "base/cast.h"

enum { RUN_MAGIC = 0x7a115712, MOST_ANSWER = 4096 };

/* One run. */
struct run {
    uint32_t magic;
    const struct stream_request *request; /* borrowed */
    CURL *easy;                           /* owned */
    uint64_t heard_us;                    /* when the last byte came */
    bool open;                            /* answered 200 with an event stream */
    bool stopped, silent;
    struct buf answer; /* the beginning of any other answer's body */
    char error[CURL_ERROR_SIZE];
};

static long status_of(const struct run *run)
{
    long status = 0;
    curl_easy_getinfo(run->easy, CURLINFO_RESPONSE_CODE, &status);
    return status;
}

static bool is_event_stream(const struct run *run)
{
    static const char wanted[] = "text/event-stream";
    char *type = NULL;
    curl_easy_getinfo(run->easy, CURLINFO_CONTENT_TYPE, &type);
    if (!type || strncasecmp(type, wanted, sizeof wanted - 1) != 0)
        return false;
    char after = type[sizeof wanted - 1];
    return after == '\0' || after == ';' || after == ' ';
}

static size_t on_header(char *bytes, size_t size, size_t count, void *ctx)
{
    struct run *run = CAST_CHECKED(struct run, ctx, RUN_MAGIC);
    run->heard_us = clock_mono_us(run->request->clock);
    bool blank = count > 0 && (*bytes == '\r' || *bytes == '\n');
    if (blank && status_of(run) == 200)
        run->open = is_event_stream(run);
    return size * count;
}

static size_t on_body(char *bytes, size_t size, size_t count, void *ctx)
{
    struct run *run = CAST_CHECKED(struct run, ctx, RUN_MAGIC);
    size_t len = size * count;
    if (!run->open) {
        size_t room = MOST_ANSWER - run->answer.len;
        buf_append(&run->answer, bytes, len < room ? len : room);
        run->heard_us = clock_mono_us(run->request->clock);
        return len > room ? 0 : len;
    }
    run->stopped = !run->request->on_bytes(run->request->ctx, span_make(bytes, len));
    /* After the call: time in which our own reader paused is no silence of the gateway. */
    run->heard_us = clock_mono_us(run->request->clock);
    return run->stopped ? 0 : len;
}

/* Milliseconds until the stream counts as dead, rounded up; 0 when it does. */
static int patience_ms(const struct run *run)
{
    uint64_t silent = clock_mono_us(run->request->clock) - run->heard_us;
    if (silent >= run->request->idle_us)
        return 0;
    uint64_t ms = (run->request->idle_us - silent) / 1000 + 1;
    return ms > 3600000 ? 3600000 : (int)ms;
}

/* Drives the transfer to its end; what libcurl made of it. */
static CURLcode drive(struct run *run, CURLM *multi)
{
    struct curl_waitfd wake = {.fd = wake_fd(run->request->wake), .events = CURL_WAIT_POLLIN};
    CURLcode code = CURLE_OK;
    int running = 1, left, ms;
    while (curl_multi_perform(multi, &running) == CURLM_OK && running && !run->stopped) {
        ms = patience_ms(run);
        run->silent = ms == 0;
        if (run->silent)
            break;
        if (curl_multi_poll(multi, &wake, 1, ms, NULL) != CURLM_OK)
            break;
        run->stopped = wake_wait(run->request->wake, 0) != WAKE_NONE;
    }
    CURLMsg *message = curl_multi_info_read(multi, &left);
    if (message && message->msg == CURLMSG_DONE)
        code = message->data.result;
    return code;
}

/* What time does not cure: the wrong request, an answer that is no event stream, or our own setup.
 */
static bool is_final(const struct run *run, CURLcode code, long status)
{
    if (client_is_hopeless(code))
        return true;
    if (run->open || status < 200)
        return false;
    return status < 500 && status != 408 && status != 425 && status != 429;
}

static void explain(const struct run *run, CURLcode code, long status, struct buf *why)
{
    if (run->silent && (run->open || !status))
        buf_printf(why, "nothing heard for %llu s",
                   (unsigned long long)(run->request->idle_us / 1000000));
    else if (run->open && !code)
        buf_str(why, "the gateway closed the stream");
    else if (!run->open && status == 200)
        buf_str(why, "200: the answer is no text/event-stream; is this a sluice gateway?");
    else if (!run->open && status)
        client_refusal(why, status, buf_view(&run->answer));
    else
        buf_str(why, client_failure(code, run->error));
}

static uint32_t in_ms(curl_off_t seconds)
{
    if (seconds < 0)
        return 0;
    return seconds > UINT32_MAX / 1000 ? UINT32_MAX : (uint32_t)(seconds * 1000);
}

static enum stream_end conclude(const struct run *run, CURLcode code, struct buf *why,
                                uint32_t *asked_ms)
{
    curl_off_t seconds = 0;
    long status = status_of(run);
    if (run->stopped)
        return STREAM_STOPPED;
    if (!run->open)
        curl_easy_getinfo(run->easy, CURLINFO_RETRY_AFTER, &seconds);
    *asked_ms = in_ms(seconds);
    explain(run, code, status, why);
    return is_final(run, code, status) ? STREAM_DENIED : STREAM_LOST;
}

static struct curl_slist *headers_of(const struct stream_request *request)
{
    struct curl_slist *headers = curl_slist_append(NULL, "Accept: text/event-stream");
    struct buf line = {0};
    if (request->last_id.len && headers) {
        buf_str(&line, "Last-Event-ID: ");
        buf_span(&line, request->last_id);
        curl_slist_append(headers, buf_cstr(&line));
    }
    buf_free(&line);
    return headers;
}

enum stream_end tail_stream_run(const struct stream_request *request, struct buf *why,
                                uint32_t *asked_ms)
{
    struct run run = {.magic = RUN_MAGIC, .request = request};
    struct curl_slist *headers = headers_of(request);
    enum stream_end end = STREAM_LOST;
    CURLM *multi = curl_multi_init();
    run.heard_us = clock_mono_us(request->clock);
    *asked_ms = 0;
    run.easy = client_easy(request->client, request->url, &headers, run.error);
    if (!multi || !run.easy) {
        buf_str(why, "out of memory");
        goto out;
    }
    curl_easy_setopt(run.easy, CURLOPT_HEADERFUNCTION, on_header);
    curl_easy_setopt(run.easy, CURLOPT_HEADERDATA, &run);
    curl_easy_setopt(run.easy, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(run.easy, CURLOPT_WRITEDATA, &run);
    curl_multi_add_handle(multi, run.easy);
    end = conclude(&run, drive(&run, multi), why, asked_ms);
    curl_multi_remove_handle(multi, run.easy);
out:
    curl_easy_cleanup(run.easy);
    curl_multi_cleanup(multi);
    curl_slist_free_all(headers);
    buf_free(&run.answer);
    return end;
}
