//! Our own files.

use expect_test::expect;

use super::*;

const SERVER: (&str, &str) = ("server.js", "");

fn toml(text: &str, wanted: &Expect) {
    check(&[("app.toml", text), SERVER, ("sub/.env", "A=1\nB=2\n")], wanted);
}

#[test]
fn one_app_at_the_top_or_tables_by_name() {
    toml(
        "name = \"hello\"\ncommand = [\"node\", \"server.js\"]\ninstances = 2\nhealth = \"/up\"\n[env]\nGREETING = \"Aloha\"\nN = 3\n",
        &expect![[r#"
            [app.hello]
            command = ["node", "server.js"]
            instances = 2
            cwd = "…"
            health = "/up"

            [app.hello.env]
            GREETING = "Aloha"
            N = "3"
        "#]],
    );
    toml(
        "[app.web]\ncommand = [\"node\", \"server.js\"]\ninstances = \"max\"\nmax_memory = \"512M\"\n\
         [app.web.balance]\nsticky = \"cookie\"\n[app.web.protect]\nretry_budget = \"10%\"\nmax_in_flight_total = \"off\"\n\
         [app.orders]\ncommand = [\"node\", \"server.js\"]\ninstances = -1\npaths = [\"/orders\"]\nready = \"log:listening on\"\n\
         cwd = \"sub\"\nenv_file = \"sub/.env\"\nliveness = { check = \"off\", max_silence = \"off\" }\n",
        &expect![[r#"
            [app.web]
            command = ["node", "server.js"]
            instances = "max"
            cwd = "…"
            max_memory = "512M"

            [app.web.balance]
            sticky = "cookie"

            [app.web.protect]
            retry_budget = "10%"
            max_in_flight_total = "off"
            [app.orders]
            command = ["node", "server.js"]
            instances = -1
            cwd = "…/sub"
            env_file = ["sub/.env"]
            paths = ["/orders"]
            ready = "log:listening on"

            [app.orders.liveness]
            check = "off"
            max_silence = "off"
        "#]],
    );
    toml(
        "[app]\ncommand = [\"node\", \"server.js\"]\n",
        &expect![[r#"
        [app.app]
        command = ["node", "server.js"]
        cwd = "…"
    "#]],
    );
}

#[test]
fn keys_that_mean_nothing_and_values_of_another_kind() {
    toml(
        "[app.web]\ncommand = \"node server.js\"\ninstanses = 2\nslow_start = \"1s\"\nready_timeout = 30\nready = \"htp\"\n\
         health = \"up\"\nkill_signal = \"SIGTREM\"\nmax_memory = \"lots\"\ninstances = 0\nstop_exit_codes = [300]\nhosts = [1]\nprimary_region = \"US East\"\nrestart_at = [\"0 3 * * *\", \"0 3 31 2 *\"]\n\
         [app.web.balance]\npolicy = \"ewmaa\"\nhash = \"header\"\n[app.web.protect]\nretry_budget = \"200%\"\nbreaker = 1\n\
         [app.web.liveness]\ninterval = \"10ms\"\nfailures = 0\nsuccesses = 1000\ninterwal = 1\n[app.web.env]\nLIST = [1]\n[app.web.nothing]\nx = 1\n[app.Web]\ncommand = [\"true\"]\n[other]\nx = 1\n",
        &expect![[r#"
            …/app.toml:2:11: app.web.command: "node server.js" is not a list of texts, like ["node", "server.js"] (write ["node", "server.js"])
            …/app.toml:3:1: app.web.instanses: an app has no key `instanses` (did you mean `instances`?)
            …/app.toml:4:1: app.web.slow_start: an app has no key `slow_start` (`slow_start` is a key of [app.NAME.balance])
            …/app.toml:5:17: app.web.ready_timeout: 30 is not a time from 100ms to 1h, like "30s" (say the unit: "30s", "30ms")
            …/app.toml:6:9: app.web.ready: "htp" is not "http", "tcp", "ipc", "sd_notify", "started", or "log:" and a part of a line (did you mean `http`?)
            …/app.toml:7:10: app.web.health: "up" is not a path that begins with / (write "/up")
            …/app.toml:8:15: app.web.kill_signal: "SIGTREM" is not one of "SIGTERM", "SIGINT", "SIGQUIT", "SIGHUP", "SIGUSR1", "SIGUSR2", "SIGKILL" (did you mean `SIGTERM`?)
            …/app.toml:9:14: app.web.max_memory: `lots` is not a size; write 512M, 2G, 64K, or a number of bytes
            …/app.toml:10:13: app.web.instances: 0 is not a number from 1 on, "max", or a negative number: cores less so many
            …/app.toml:11:19: app.web.stop_exit_codes: a list is not a list of exit codes, 0 to 255
            …/app.toml:12:9: app.web.hosts: a list is not a text, or a list of texts
            …/app.toml:13:18: app.web.primary_region: `US East` is not the name of a region: 1 to 32 lower case letters, digits and `-`, a letter first and no `-` last
            …/app.toml:14:14: app.web.restart_at: `0 3 31 2 *` never comes: no such day is in any of its months ("0 3 * * *" is 3 o'clock each day)
            …/app.toml:16:10: app.web.balance.policy: "ewmaa" is not one of "ewma", "round-robin", "least-connections", "ip-hash", "rendezvous" (did you mean `ewma`?)
            …/app.toml:17:8: app.web.balance.hash: "header" is not "ip", "path", "header:NAME" or "cookie:NAME"
            …/app.toml:19:16: app.web.protect.retry_budget: "200%" is not a share from 0% to 100%, like "20%"
            …/app.toml:20:11: app.web.protect.breaker: 1 is not true or false
            …/app.toml:22:12: app.web.liveness.interval: "10ms" is not a time from 100ms to 1h, like "30s"
            …/app.toml:23:12: app.web.liveness.failures: 0 is not a whole number from 1 to 100
            …/app.toml:24:13: app.web.liveness.successes: 1000 is not a whole number from 1 to 100
            …/app.toml:25:1: app.web.liveness.interwal: the liveness of an app has no key `interwal` (did you mean `interval`?)
            …/app.toml:26:1: app.web.env: the variable `LIST` is a list; it must be a text, a number, true or false
            …/app.toml:28:10: app.web.nothing: an app has no key `nothing`
            …/app.toml:30:6: app.Web: `Web` is not a name: 1 to 32 lower case letters, digits and `-`, a letter first and no `-` last
            …/app.toml:32:2: other: an app file has no key `other` beside `app` (keys of an app stand below its [app.NAME])
        "#]],
    );
    toml(
        "command = [\"node\", \"server.js\"\n",
        &expect![[r#"
        …/app.toml:1:31: not TOML: unclosed array, expected `]`
    "#]],
    );
    toml(
        "",
        &expect![[r#"
        …/app.toml:1:1: it has no `command` (write command = ["node", "server.js"])
    "#]],
    );
    toml(
        "command = \"node server.js | tee log\"\n",
        &expect![[r#"
        …/app.toml:1:11: command: "node server.js | tee log" is not a list of texts, like ["node", "server.js"] (what needs a shell is written ["sh", "-c", "node server.js | tee log"])
    "#]],
    );
}

#[test]
fn what_must_hold_between_keys_and_between_apps() {
    toml(
        "[app.a]\ncommand = [\"node\", \"server.js\"]\n[app.b]\ncommand = [\"node\", \"server.js\"]\n",
        &expect![[r#"
            …/app.toml:3:6: app.b: both `a` and `b` take every request that no other app has named (give one of them `hosts` or `paths`, or write public = false)
        "#]],
    );
    toml(
        "[app.a]\ncommand = [\"node\", \"server.js\"]\nhosts = \"shop.test\"\npaths = [\"/x/\", \"/y\"]\n\
         [app.b]\ncommand = [\"node\", \"server.js\"]\nhosts = [\"Shop.test.\"]\npaths = [\"/x\"]\ninternal = \"a\"\n",
        &expect![[r#"
            …/app.toml:8:1: app.b.paths: `a` takes requests for shop.test and /x already (one app takes a request)
            …/app.toml:9:1: app.b.internal: `a` has the internal name `a` already (each has a name of its own; "" is none)
        "#]],
    );
    toml(
        "[app.a]\ncommand = []\ninstances = 33\nhosts = [\"shop.test:80\", \"a b\", \"x.internal\"]\npaths = [\"/a?b\"]\npublic = false\n\
         restart_delay = \"20s\"\nready = \"started\"\nkill_signal = \"SIGKILL\"\nshutdown_message = true\n\
         balance = { hash = \"path\" }\nprotect = { breaker_open = \"2m\" }\nliveness = { watchdog = \"30s\" }\n",
        &expect![[r#"
            …/app.toml:1:6: app.a.restart_delay_max: the longest pause is shorter than the first one (make it longer than `restart_delay`)
            …/app.toml:2:1: app.a.command: `command` is empty (write command = ["node", "server.js"])
            …/app.toml:3:1: app.a.instances: 33 workers are more than 32, 8 for each of 4 cores ("max" is one for each core)
            …/app.toml:4:1: app.a.hosts: `shop.test:80` has a port; hosts are said without (write shop.test or *.shop.test)
            …/app.toml:4:1: app.a.hosts: `a b` is not a host (write shop.test or *.shop.test)
            …/app.toml:4:1: app.a.hosts: `x.internal` is an internal name; that is what `internal` says (write shop.test or *.shop.test)
            …/app.toml:5:1: app.a.paths: `/a?b` is not the beginning of a path (it begins with /, and has neither ? nor #)
            …/app.toml:6:1: app.a.public: it is not public, and yet says which requests of users it takes (leave out one of both)
            …/app.toml:11:13: app.a.balance.hash: only the policy `rendezvous` goes by a hash (write policy = "rendezvous")
            …/app.toml:12:1: app.a.protect.breaker_open_max: it is shorter than `breaker_open` (make it longer)
            …/app.toml:13:1: app.a.liveness.check: a program that listens nowhere cannot be asked how it is (write check = "off")
            …/app.toml:13:14: app.a.liveness.watchdog: only workers that tell by `sd_notify` can be watched so (write ready = "sd_notify")
        "#]],
    );
}

#[test]
fn what_is_not_there_is_found_before_anything_runs() {
    toml(
        "[app.a]\ncommand = [\"no-such-program\"]\ncwd = \"nowhere\"\nenv_file = [\"sub/.env\", \"gone.env\"]\n\
         [app.a.protect]\nfallback = \"gone.html\"\n[app.a.log]\nfile = \"sub\"\n",
        &expect![[r#"
            …/app.toml:3:1: app.a.cwd: there is no directory …/nowhere (create it, or correct `cwd`)
            …/app.toml:4:1: app.a.env_file: …/gone.env: it cannot be read: No such file or directory (os error 2)
            …/app.toml:6:1: app.a.protect.fallback: there is no file …/gone.html
            …/app.toml:8:1: app.a.log.file: …/sub is a directory
        "#]],
    );
    toml(
        "command = [\"server.js\"]\n",
        &expect![[r#"
        …/app.toml:1:1: command: there is no program `server.js` in PATH (write "./server.js" for the one in `cwd`)
    "#]],
    );
    toml(
        "command = [\"./server.js\"]\n",
        &expect![[r#"
        …/app.toml:1:1: command: …/./server.js is not executable (run `chmod +x ./server.js`, or put its interpreter before it, like ["node", "./server.js"])
    "#]],
    );
    check(
        &[("app.toml", "command = [\"true\"]\nenv_file = \".env\"\n"), (".env", "A=1\nB\n")],
        &expect![[r#"
        …/app.toml:2:1: env_file: …/.env:2: a line is `NAME=value`
    "#]],
    );
}

#[test]
fn every_key_that_is_not_the_default_is_written_and_read_back() {
    let folder = Folder::with(&[SERVER, ("fallback.html", "")]).unwrap();
    let text = "[app.full]\ncommand = [\"node\", \"server.js\", \"a \\\"b\\\"\\n\"]\ninstances = -1\nwithout_env = [\"AWS_\"]\nhosts = [\"*.shop.test\"]\n\
        paths = [\"/a\"]\ninternal = \"f\"\nhealth = \"/up\"\nready = \"log:up and running\"\nready_timeout = \"1m\"\ndrain_timeout = \"90s\"\n\
        kill_signal = \"SIGINT\"\nkill_timeout = \"1500ms\"\nshutdown_message = true\nmax_memory = \"1.5G\"\nrestart = false\nstop_exit_codes = [0, 3]\n\
        restart_delay = \"1s\"\nrestart_delay_max = \"1m\"\nmin_uptime = \"5s\"\npreload = false\ninstance_var = \"N\"\nincrement_var = \"M\"\n\
        primary_region = \"us-east\"\nrestart_at = [\"@daily\", \"0 12 * * mon-fri\"]\n\
        env = { \"A.B\" = \"x\\ty\", M = \"3\" }\n[app.full.liveness]\ncheck = \"off\"\ntimeout = \"2s\"\ninterval = \"5s\"\nfailures = 5\nsuccesses = 1\nmax_silence = \"off\"\n\
        [app.full.balance]\npolicy = \"rendezvous\"\nsticky = \"cookie\"\nslow_start = \"0s\"\nhash = \"header:x-user\"\nhash_bound = \"150%\"\n\
        [app.full.protect]\nretry_budget = \"0.5%\"\nretry_floor = 0\nbreaker = \"off\"\nmax_event_loop_lag = \"500ms\"\nmax_in_flight = 10\n\
        max_in_flight_total = \"off\"\nmax_body = \"10M\"\nfallback = \"fallback.html\"\n[app.full.log]\nfile = \"x.log\"\nformat = \"json\"\nkeep = 0\n";
    fs::write(folder.0.join("app.toml"), text).unwrap();
    let file = folder.read("app.toml", &Options::default()).unwrap_or_else(|problems| panic!("{problems}"));
    for app in &file.apps {
        reads_back(app, &folder);
    }
}

#[test]
fn files_that_are_none_or_too_large_are_refused() {
    let folder = Folder::with(&[("binary.toml", "")]).unwrap();
    fs::write(folder.0.join("binary.toml"), b"a = \xff").unwrap();
    fs::write(folder.0.join("large.toml"), vec![b'#'; (1 << 20) + 1]).unwrap();
    fs::create_dir(folder.0.join("dir.toml")).unwrap();
    for (file, why) in
        [("binary.toml", "not UTF-8, from byte 4 on"), ("large.toml", "larger than"), ("dir.toml", "not a file")]
    {
        let found = folder.read(file, &Options::default());
        assert!(found.as_ref().is_err_and(|problems| problems.to_string().contains(why)), "{}", folder.shown(&found));
    }
}
