// The structs of mde.hpp, read from valid and invalid documents. Needs no service.
#include "support.hpp"

#include <cstddef>
#include <random>
#include <vector>

using namespace std::chrono_literals;

namespace {

// With all members, one that no version knows, and escapes.
const char *const FETCHED = R"( {"package":{"path":"4711.zip","bytes":7340032,"sha256":"ab","action_id":"a-1",
    "machine_id":"m-1","computer_name":"caf\u00e9","existing":true,"entries":31,"bytes_uncompressed":18446744073709551615,
    "device":"windows","missing":["Prefetch files","\ud83d\ude00 \"quoted\" \\ \/\b\f\n\r\t"],"bytes_unlisted":1,
    "same_but_for_case":2,"new":{"deep":[1,{"x":"]}"}]}},"action":{"id":"a-1","status":"Succeeded",
    "type":"CollectInvestigationPackage","machineId":"m-1","computerDnsName":"host","requestor":"me",
    "requestorComment":"case","creationDateTimeUtc":"2026-01-31T23:59:58.1234567Z","errorHResult":0},
    "adopted":true} )";

void fetched() {
    const auto fetched = mde::document(FETCHED).as<mde::fetched>();
    const mde::package &package = fetched.package;
    CHECK(package.path == "4711.zip" && package.bytes == 7340032 && package.sha256 == "ab" && package.action_id == "a-1");
    CHECK(package.machine_id == "m-1" && package.computer_name == "caf\xc3\xa9" && package.existing);
    CHECK(package.entries == 31 && package.bytes_uncompressed == UINT64_MAX && package.device == "windows");
    CHECK(package.missing.size() == 2 && package.missing[0] == "Prefetch files");
    CHECK(package.missing[1] == "\xf0\x9f\x98\x80 \"quoted\" \\ /\b\f\n\r\t");
    CHECK(package.bytes_unlisted == 1 && package.same_but_for_case == 2 && package.files.empty());
    const mde::machine_action &action = fetched.action;
    CHECK(action.id == "a-1" && action.status == "Succeeded" && action.kind == "CollectInvestigationPackage");
    CHECK(action.machine_id == "m-1" && action.computer_name == "host" && action.requestor == "me");
    CHECK(action.requestor_comment == "case" && action.created == "2026-01-31T23:59:58.1234567Z");
    CHECK(action.is_final() && fetched.adopted);
    // What has no member here is in the text.
    CHECK(package.json.get("/new/deep/1/x") == "]}" && action.json.get<int>("/errorHResult") == 0);
    CHECK(fetched.json.get("/package/new/deep/0") == "1" && action.json.text().back() == '}');
}

// The parts share the text of the whole, and keep it when that is gone.
void parts() {
    mde::machine_action action;
    const char *text = nullptr;
    {
        const mde::document json(FETCHED);
        action = json.as<mde::fetched>().action;
        text = json.text().data();
    }
    CHECK(action.json.text().data() > text && action.json.text().data() < text + std::string_view(FETCHED).size());
    CHECK(action.json.get("/status") == "Succeeded" && action.json.as<mde::machine_action>().id == "a-1");
    const auto copy = action;
    CHECK(copy.json.text().data() == action.json.text().data());
}

void lists() {
    const auto found = mde::document(R"({"machines":[{"id":"m-1","computerDnsName":"a","osPlatform":"Windows11",
        "healthStatus":"Active","onboardingStatus":"Onboarded","lastSeen":"2026-01-31T00:00:00Z"},{"id":"m-2"},{"id":"m-3"}],
        "checks":[{"id":"m-1","problems":[]},{"id":"m-2","problems":["same_name","offline"]}],"more":true})")
                           .as<mde::found>();
    CHECK(found.machines.size() == 3 && found.more);
    const mde::machine &first = found.machines[0];
    CHECK(first.id == "m-1" && first.name == "a" && first.os_platform == "Windows11" && first.health_status == "Active");
    CHECK(first.onboarding_status == "Onboarded" && first.last_seen == "2026-01-31T00:00:00Z" && first.problems.empty());
    CHECK((found.machines[1].problems == std::vector<std::string>{"same_name", "offline"}) && !found.machines[1].name);
    CHECK(found.machines[2].problems.empty());
    // More is said than was found.
    CHECK(mde::document(R"({"checks":[{"problems":["offline"]}],"machines":[]})").as<mde::found>().machines.empty());

    const auto listed = mde::document(R"({"actions":[{"id":"1","status":"Pending"},{"id":"2","status":"Canceled"}]})")
                            .as<mde::listed>();
    CHECK(listed.actions.size() == 2 && !listed.actions[0].is_final() && listed.actions[1].is_final());
    CHECK(mde::document(R"({"action":{"id":"1"},"cancelled":true})").as<mde::ended>().cancelled);
    CHECK(mde::document(R"({"action":{"id":"1"},"adopted":true})").as<mde::collected>().adopted);
    CHECK(mde::document(R"({"uri":"https:\/\/x"})").as<mde::package_uri>().uri == "https://x");

    const auto package = mde::document(R"({"files":[{"name":"a/","bytes":0,"compressed":2,"crc32":"0123abcd"},
        {"name":"a/b","bytes":3,"compressed":4,"crc32":"00000000","modified":"2026-01-31T23:59:58"}]})").as<mde::package>();
    CHECK(package.files.size() == 2 && package.files[0].name == "a/" && package.files[0].compressed == 2);
    CHECK(package.files[0].crc32 == "0123abcd" && !package.files[0].modified);
    CHECK(package.files[1].bytes == 3 && package.files[1].modified == "2026-01-31T23:59:58");
}

const char *const PACKAGES = R"({"packages":[
    {"machine_id":"m-1","state":"done","package":{"path":"1.zip","bytes":7,"sha256":"ab"},"action":{"id":"a-1","status":"Succeeded"},
     "adopted":true},
    {"machine_id":"m-2","state":"failed","error":{"status":61,"name":"not_found","message":"no such device","retryable":false}},
    {"machine_id":"m-3","state":"skipped","problems":["merged","unsupported"]},
    {"machine_id":"m-4","state":"waiting","package":null,"action":7,"error":{"name":"service"}}],
    "summary":{"devices":4,"done":1,"failed":1,"skipped":1,"unfinished":1,"bytes":5000000000,"eta_ms":6000000000}})";

// Of a job over many devices.
void packages() {
    const auto all = mde::document(PACKAGES).as<mde::fetched_packages>();
    CHECK(all.packages.size() == 4 && all.json.text().size() == std::string_view(PACKAGES).size());
    const mde::device_package &done = all.packages[0];
    CHECK(done.machine_id == "m-1" && done.state == "done" && done.has_ended() && done.adopted && !done.error());
    CHECK(done.package->path == "1.zip" && done.action->id == "a-1" && done.json.get("/package/sha256") == "ab");
    const mde::device_package &failed = all.packages[1];
    CHECK(failed.has_ended() && !failed.package && !failed.action && failed.problems.empty());
    CHECK(failed.error()->status() == mde::status::not_found && failed.error()->message() == "no such device");
    CHECK(!failed.error()->retryable() && !failed.error()->packages());
    CHECK(all.packages[2].has_ended() && (all.packages[2].problems == std::vector<std::string>{"merged", "unsupported"}));
    CHECK(!all.packages[3].has_ended() && !all.packages[3].package && !all.packages[3].action && !all.packages[3].error());
    const mde::packages_summary &summary = all.summary;
    CHECK(summary.devices == 4 && summary.done == 1 && summary.failed == 1 && summary.skipped == 1);
    CHECK(summary.unfinished == 1 && summary.bytes == 5000000000U && summary.eta == 6000000s);

    // Beside an error, which knows them.
    const std::string text = R"({"error":{"status":70,"message":"m"},)" + std::string(PACKAGES).substr(1);
    const mde::error incomplete(mde::status::incomplete, mde::document(text));
    CHECK(incomplete.packages()->packages.size() == 4 && incomplete.packages()->summary.done == 1);
    CHECK(!mde::error(mde::status::file, mde::document(R"({"error":{}})")).packages());
    CHECK(!mde::error(mde::status::file, "no document").packages());
    CHECK(!mde::document("{}").as<mde::fetched_packages>().summary.eta);
}

void events() {
    bool stopped = false;
    const mde::progress_event fleet(mde::document(R"({"stage":"fleet","devices":9,"done":1,"failed":2,"skipped":3,"running":4,
        "ready":5,"downloading":6,"bytes":7,"eta_ms":8})"), stopped);
    CHECK(fleet.stage() == "fleet" && !fleet.machine_id() && !fleet.device() && fleet.devices() == 9 && fleet.done() == 1);
    CHECK(fleet.failed() == 2 && fleet.skipped() == 3 && fleet.running() == 4 && fleet.ready() == 5);
    CHECK(fleet.downloading() == 6 && fleet.bytes() == 7 && fleet.eta() == 8ms);
    const mde::progress_event ended(mde::document(R"({"stage":"ended","machine_id":"m","state":"skipped","problems":["merged"]})"),
                                    stopped);
    CHECK(ended.machine_id() == "m" && ended.device()->state == "skipped" && ended.device()->problems.size() == 1);
    const mde::progress_event download(mde::document(R"({"machine_id":"m","stage":"download","bytes":3})"), stopped);
    CHECK(download.machine_id() == "m" && !download.device() && download.bytes() == 3 && !download.eta() && !stopped);
}

// Beside an error, whole or with what is known of a damaged one.
void refused() {
    const mde::error failed(mde::status::unsafe, mde::document(R"({"error":{"status":103,"name":"unsafe","message":"m",
        "retryable":false},"package":{"path":"p.zip.unsafe","bytes":7,"sha256":"ab","entries":2,"unsafe_count":2,
        "unsafe_entries":[{"name":"../x","reason":"has a path"},{"name":"y","reason":"is a link"}]}})"));
    CHECK(failed.status() == mde::status::unsafe && static_cast<int>(failed.status()) == MDE_ERR_UNSAFE);
    const auto package = failed.package();
    CHECK(package && package->path == "p.zip.unsafe" && package->bytes == 7 && package->entries == 2);
    CHECK(package->unsafe_count == 2 && package->unsafe_entries.size() == 2);
    CHECK(package->unsafe_entries[1].name == "y" && package->unsafe_entries[1].reason == "is a link");
    CHECK(package->json.get("/unsafe_entries/0/name") == "../x");
    const mde::error damaged(mde::status::integrity, mde::document(R"({"error":{},"package":{"path":"p.zip.damaged"}})"));
    CHECK(damaged.package()->path == "p.zip.damaged" && damaged.package()->unsafe_entries.empty());
    CHECK(!mde::error(mde::status::file, mde::document(R"({"error":{"package":{}}})")).package());
    CHECK(!mde::error(mde::status::file, "no document").package());
}

void access() {
    const auto whole = mde::document(R"({"access":{"ok":false,
        "steps":[{"step":"sign_in","result":"ok"},{"step":"clock","result":"failed",
        "error":{"status":20,"name":"token","message":"late","retryable":false}}],
        "identity":{"kind":"application","tenant":"t","application":"a","object":"o","permissions":["p"],"expires_at":"2026-01-24T23:17:02Z"},
        "functions":[{"function":"mde_get_action","allowed":false,"lacks":["q"]}],
        "api_host":{"host":"h","port":443,"proxy":{"address":"p:1","because":"option","set_by":"proxy"},"addresses":[{"address":"192.0.2.1:1","used":true}],
        "tls":"TLS 1.3","issuer":"CN=i","http_status":200,"ms":{"lookup":4,"tls":31},"clock_ahead_s":-3600}}})");
    const auto access = whole.get<mde::document>("/access")->as<mde::checked_access>();
    CHECK(!access.ok && access.steps.size() == 2 && access.steps[0].result == "ok" && !access.steps[0].error());
    CHECK(access.steps[1].step == "clock" && access.steps[1].error()->status() == mde::status::token);
    CHECK(access.steps[1].error()->message() == "late");
    CHECK(access.identity->kind == "application" && access.identity->tenant == "t" && access.identity->object == "o");
    CHECK(access.identity->permissions == std::vector<std::string>{"p"} && !access.identity->user);
    CHECK(!access.functions[0].allowed && access.functions[0].lacks == std::vector<std::string>{"q"});
    CHECK(!access.sign_in_host && access.api_host->port == 443 && access.api_host->issuer == "CN=i");
    CHECK(access.api_host->proxy.address == "p:1" && access.api_host->proxy.set_by == "proxy");
    CHECK(access.api_host->addresses[0].used && access.api_host->tls == "TLS 1.3" && access.api_host->http_status == 200U);
    CHECK(access.api_host->times.lookup == 4ms && access.api_host->times.tls == 31ms && !access.api_host->times.tunnel);
    CHECK(access.api_host->clock_ahead == -3600s);
}

void quotas() {
    const auto quota = mde::document(R"({"quotas":[{"endpoint":"link","limit":2,"window_s":60,"used":1,"in_flight":0,
        "queued":3,"available_in_ms":41000,"closed_ms":5},{"endpoint":"read","limit":9,"window_s":0.25},
        {"window_s":2.50001},{"window_s":1e3},{"window_s":-1},{"window_s":"60"},{"window_s":1.},{"window_s":.5},
        {"window_s":99999999999}],"log":{"kind":"file","place":"/q","trouble":"full"},"known":false})")
                           .as<mde::quota_status>();
    CHECK(quota.quotas.size() == 9 && !quota.known);
    const mde::quota_window &first = quota.quotas[0];
    CHECK(first.endpoint == "link" && first.limit == 2 && first.window == 60s && first.used == 1U);
    CHECK(first.in_flight == 0U && first.queued == 3U && first.available_in == 41s && first.closed_for == 5ms);
    CHECK(quota.quotas[1].window == 250ms && !quota.quotas[1].used && !quota.quotas[1].available_in);
    CHECK(quota.quotas[2].window == 2500ms);
    for (std::size_t n = 3; n < 9; ++n) {
        CHECK(quota.quotas[n].window == 0ms);
    }
    CHECK(quota.log.kind == "file" && quota.log.place == "/q" && quota.log.trouble == "full");
    CHECK(mde::document("{}").as<mde::quota_status>().known);
}

// Absent, null, of another type, out of range.
void what_is_not_there() {
    for (const char *text : {"", " ", "null", "[]", "{}", "5", "\"text\"", "{", "[[[", R"({"package":null,"action":[]})",
                             R"({"package":7,"action":"x","adopted":"true"})", R"({"package":{},"action":{},"adopted":1})"}) {
        const auto fetched = mde::document(text).as<mde::fetched>();
        CHECK(fetched.package.path.empty() && fetched.package.bytes == 0 && !fetched.package.device && !fetched.adopted);
        CHECK(fetched.action.id.empty() && !fetched.action.is_final() && !fetched.action.kind);
        CHECK(mde::document(text).as<mde::found>().machines.empty());
        CHECK(mde::document(text).as<mde::listed>().actions.empty());
    }
    for (const char *number : {"-1", "1.5", "1e3", "18446744073709551616", "\"7\"", "true", "null", "[7]", "0x7", "+7"}) {
        const auto package = mde::document(std::string(R"({"bytes":)") + number + "}").as<mde::package>();
        CHECK(package.bytes == 0);
        const auto window = mde::document(std::string(R"({"used":)") + number + R"(,"available_in_ms":)" + number + "}")
                                .as<mde::quota_window>();
        CHECK(!window.used && !window.available_in);
    }
    const auto odd = mde::document(R"({"missing":[1,"a",null,{}],"files":[1,{"name":5}],"path":["x"]})").as<mde::package>();
    CHECK((odd.missing == std::vector<std::string>{"", "a", "", ""}) && odd.files.size() == 2 && odd.path.empty());
    // Of several members with one name the last counts, whatever it is; a name may have escapes.
    CHECK(mde::document(R"({"id":"a","id":"b"})").as<mde::machine_action>().id == "b");
    CHECK(mde::document(R"({"id":"a","id":5})").as<mde::machine_action>().id.empty());
    CHECK(mde::document(R"({"type":"a","type":null})").as<mde::machine_action>().kind == std::nullopt);
    CHECK(mde::document(R"({"action":{"id":"a"},"action":{"status":"x"}})").as<mde::fetched>().action.id.empty());
    CHECK(mde::document(R"({"action":{"id":"a"},"action":5})").as<mde::fetched>().action.id.empty());
    CHECK(mde::document(R"({"\u0069d":"a"})").as<mde::machine_action>().id == "a");
    // Cut short, and up to where it is no JSON.
    CHECK(mde::document(R"({"id":"a","status":"Pend)").as<mde::machine_action>().id.empty());
    CHECK(mde::document(R"({"id":"a",5,"status":"Pending"})").as<mde::machine_action>().id == "a");
}

void strings() {
    const auto id = [](const char *json) {
        return mde::document(std::string(R"({"type":)") + json + "}").as<mde::machine_action>().kind;
    };
    CHECK(id(R"("\u0041\u00df\u20ac\ud834\udd1e")") == "A\xc3\x9f\xe2\x82\xac\xf0\x9d\x84\x9e");
    // Half of a pair.
    CHECK(id(R"("\ud834")") == "\xef\xbf\xbd" && id(R"("\udd1ex")") == "\xef\xbf\xbdx");
    CHECK(id(R"("\ud834\u0041")") == "\xef\xbf\xbd" "A" && id(R"("\ud834\n")") == "\xef\xbf\xbd\n");
    CHECK(id(R"("a\u0000b")") == std::string("a\0b", 3));
    for (const char *bad : {R"("\x")", R"("\u12")", R"("\u123g")", R"("\u-123")", R"("\ud834\u12")"}) {
        CHECK(!id(bad));
    }
    CHECK(!id(R"("\")"));
    CHECK(!mde::detail::string_in(R"("\")") && !mde::detail::string_in("\"") && !mde::detail::string_in(""));
}

// Depth costs no stack, and length no more than itself.
void deep_and_long() {
    const std::string deep = R"({"new":)" + std::string(1000000, '[') + std::string(1000000, ']') + R"(,"id":"a"})";
    CHECK(mde::document(deep).as<mde::machine_action>().id == "a");
    CHECK(mde::document(std::string(1000000, '{')).as<mde::fetched>().json.text().empty());
    std::string text = R"({"files":[)";
    for (int n = 0; n < 100000; ++n) {
        text += (n > 0 ? "," : "") + (R"({"name":"a,]\")" + std::to_string(n)) + R"(","bytes":5})";
    }
    const auto package = mde::document(text + "]}").as<mde::package>();
    CHECK(package.files.size() == 100000 && package.files[99999].name == "a,]\"99999" && package.files[7].bytes == 5);
}

template <class T>
void read_as(const std::string &text) {
    const mde::document json{std::string_view(text)};
    const auto read = json.as<T>();
    CHECK(read.json.text().size() <= text.size());
}

void read_as_all(const std::string &text) {
    read_as<mde::fetched>(text);
    read_as<mde::fetched_packages>(text);
    read_as<mde::found>(text);
    read_as<mde::listed>(text);
    read_as<mde::quota_status>(text);
    read_as<mde::checked_access>(text);
    read_as<mde::package>(text);
    (void)mde::document(std::string_view(text)).elements();
}

// Cut anywhere, and with bytes changed at random: memory checkers look on.
void damaged(const std::string &good) {
    for (std::size_t length = 0; length < good.size(); ++length) {
        read_as_all(good.substr(0, length));
        read_as_all(good.substr(length));
    }
    std::mt19937 random(4711);
    const std::string_view characters = "{}[]\",:\\u0dD8 tn-.\x80\xff";
    for (int round = 0; round < 20000; ++round) {
        std::string text = good;
        for (std::size_t changes = random() % 8 + 1; changes > 0; --changes) {
            text[random() % text.size()] = characters[random() % characters.size()];
        }
        read_as_all(text);
    }
}

}  // namespace

int main() {
    fetched();
    parts();
    lists();
    packages();
    events();
    refused();
    quotas();
    access();
    what_is_not_there();
    strings();
    deep_and_long();
    damaged(FETCHED);
    damaged(PACKAGES);
    std::puts("all checks passed");
    return 0;
}
