//! PM2's files, in each of their forms.

use expect_test::expect;

use super::*;

const SERVER: (&str, &str) = ("server.js", "");

#[test]
fn the_file_that_pm2_ecosystem_writes() {
    check(
        &[
            (
                "ecosystem.config.js",
                "module.exports = {\n  apps : [{\n    script: 'server.js',\n    watch: '.'\n  }],\n  deploy : { production : { user : 'x' } }\n};\n",
            ),
            SERVER,
        ],
        &expect![[r#"
            [app.server]
            command = ["node", "server.js"]
            cwd = "…"
            ready = "tcp"
            kill_signal = "SIGINT"

            [app.server.liveness]
            check = "off"
            ! `deploy`: left aside: bring the files to the machine as before, then `atoll app reload`
            ! server: `watch`: files are not watched here: run `atoll app reload` after a change, or `node --watch` while developing
        "#]],
    );
}

#[test]
fn what_teams_write() {
    let file = "const base = { NODE_ENV: 'development' };\nconsole.log('noise');\nmodule.exports = { apps: [{\n\
        name: 'HTTP API', script: './server.js', args: '--a 1 \"b c\"', node_args: ['--max-old-space-size=512'], instances: 'max',\n\
        exec_mode: 'cluster', max_memory_restart: '260M', kill_timeout: 3000, wait_ready: true, listen_timeout: 10000,\n\
        shutdown_with_message: true, exp_backoff_restart_delay: 200, min_uptime: '60s', max_restarts: 10, time: true,\n\
        error_file: 'logs/err.log', out_file: 'logs/out.log', merge_logs: true, log_date_format: 'YYYY', instance_var: 'INSTANCE',\n\
        increment_var: 'WORKER_PORT', env: { ...base, PORT: 3000, WORKER_PORT: 7000, NESTED: { a: 1 }, NOTHING: undefined },\n\
        env_production: { NODE_ENV: 'production' }, stop_exit_codes: [0], source_map_support: true, autorestart: true, watch: false,\n\
        filter_env: ['AWS_'], treekill: false, vizion: false, pmx: false, namespace: 'shop', cron_restart: '0 3 * * *',\n\
        atoll: { health: '/up', ready: 'http', balance: { sticky: 'cookie' } }, max: 1,\n\
        }, { name: 'worker', script: 'worker.js', atoll: { ready: 'started' } }, { script: 'other.js', name: 'worker' }] };\n";
    let files = [("ecosystem.config.js", file), SERVER, ("worker.js", ""), ("other.js", "")];
    check_env(
        &files,
        Some("production"),
        &expect![[r#"
            [app.http-api]
            command = ["node", "--enable-source-maps", "--max-old-space-size=512", "./server.js", "--a", "1", "b c"]
            instances = "max"
            cwd = "…"
            without_env = ["AWS_"]
            health = "/up"
            kill_signal = "SIGINT"
            kill_timeout = "3s"
            shutdown_message = true
            max_memory = "260M"
            stop_exit_codes = [0]
            restart_delay = "200ms"
            min_uptime = "1m"
            restart_at = "0 3 * * *"
            instance_var = "INSTANCE"
            increment_var = "WORKER_PORT"

            [app.http-api.balance]
            sticky = "cookie"

            [app.http-api.log]
            file = "…/logs/out.log"
            format = "json"

            [app.http-api.env]
            NESTED = "{\"a\":1}"
            NODE_ENV = "production"
            WORKER_PORT = "7000"
            [app.worker]
            command = ["node", "worker.js"]
            cwd = "…"
            public = false
            ready = "started"
            kill_signal = "SIGINT"

            [app.worker.liveness]
            check = "off"
            [app.worker-2]
            command = ["node", "other.js"]
            cwd = "…"
            public = false
            ready = "tcp"
            kill_signal = "SIGINT"

            [app.worker-2.liveness]
            check = "off"
            - http-api: `error_file`: both streams go to one file here; JSON lines and `atoll app logs` tell them apart
            - http-api: `listen_timeout`: 30s here: PM2 takes a worker into use when it is over, here it is given up
            - http-api: `log_date_format`: lines become JSON objects, with their time and worker
            ! http-api: `max`: left aside: PM2 has no such key; did you mean `max_restarts`?
            ! http-api: `max_restarts`: a worker is never given up: the pauses grow to 15 s, and the region says that it is not well
            ! http-api: `namespace`: there are no groups of apps: name the apps that you mean
            - http-api: `time`: lines become JSON objects, with their time and worker
            ! http-api: `treekill`: whatever a worker started ends with it, always: make an app of its own of what shall live on
            - http-api: `PORT`: 3000 is left aside: each worker gets a port of its own, users come in at the gateway's; listen(process.env.PORT) takes it, and the preload redirects a fixed listen(3000)
            - http-api: `name`: `HTTP API` is called `http-api` here: names are parts of host names, and there once
            - worker: `env_production`: there is no such key, so `--env` changes nothing here
            - worker-2: `env_production`: there is no such key, so `--env` changes nothing here
            - worker-2: `name`: `worker` is called `worker-2` here: names are parts of host names, and there once
            ! worker-2: `atoll`: users do not reach it, other apps do at http://worker-2.internal; say atoll: { paths: ["/worker-2"] } if they shall, or atoll: { ready: "started" } if it listens nowhere
        "#]],
    );
}

#[test]
fn json_with_comments_yaml_and_modules() {
    check(
        &[
            (
                "process.json",
                "// one app, without `apps`\n{ \"script\": \"server.js\", /* x */ \"instances\": \"2\", \"kill_timeout\": \"500\", }",
            ),
            SERVER,
        ],
        &expect![[r#"
            [app.server]
            command = ["node", "server.js"]
            instances = 2
            cwd = "…"
            ready = "tcp"
            kill_signal = "SIGINT"
            kill_timeout = "500ms"

            [app.server.liveness]
            check = "off"
        "#]],
    );
    // What is JavaScript rather than JSON is read by Node, as PM2 does.
    check(
        &[("process.json", "{ apps: [{ script: 'server.js', instances: 1 + 1 }] }"), SERVER],
        &expect![[r#"
            [app.server]
            command = ["node", "server.js"]
            instances = 2
            cwd = "…"
            ready = "tcp"
            kill_signal = "SIGINT"

            [app.server.liveness]
            check = "off"
        "#]],
    );
    check(
        &[
            (
                "process.yml",
                "apps:\n  - script: ./run.sh\n    name: run\n    env: &env\n      A: 1\n      B: yes\n  - script: job.py\n    interpreter: python3\n    env:\n      <<: *env\n      B: no\n",
            ),
            ("run.sh", ""),
            ("job.py", ""),
        ],
        &expect![[r#"
            [app.run]
            command = ["bash", "./run.sh"]
            cwd = "…"
            ready = "tcp"
            kill_signal = "SIGINT"

            [app.run.liveness]
            check = "off"

            [app.run.env]
            A = "1"
            B = "yes"
            [app.job]
            command = ["python3", "job.py"]
            cwd = "…"
            public = false
            ready = "tcp"
            kill_signal = "SIGINT"

            [app.job.liveness]
            check = "off"

            [app.job.env]
            A = "1"
            B = "no"
            PYTHONUNBUFFERED = "1"
            ! job: `atoll`: users do not reach it, other apps do at http://job.internal; say atoll: { paths: ["/job"] } if they shall, or atoll: { ready: "started" } if it listens nowhere
        "#]],
    );
    check(
        &[("ecosystem.config.mjs", "export default { apps: [{ script: 'server.js' }] };\n"), SERVER],
        &expect![[r#"
            [app.server]
            command = ["node", "server.js"]
            cwd = "…"
            ready = "tcp"
            kill_signal = "SIGINT"

            [app.server.liveness]
            check = "off"
        "#]],
    );
    check(
        &[
            (
                "ecosystem.config.cjs",
                "module.exports = async () => 1; module.exports = Promise.resolve([{ script: 'server.js' }]);\n",
            ),
            SERVER,
        ],
        &expect![[r#"
            [app.server]
            command = ["node", "server.js"]
            cwd = "…"
            ready = "tcp"
            kill_signal = "SIGINT"

            [app.server.liveness]
            check = "off"
        "#]],
    );
}

#[test]
fn scripts_that_are_programs() {
    check(
        &[
            (
                "ecosystem.json",
                r#"{ "apps": [{ "name": "a", "script": "npm", "args": "start" }, { "name": "b", "script": "node server.js && true" },
                    { "name": "c", "script": "tool" }, { "name": "d", "script": "server.js", "interpreter": "node@18.1" }] }"#,
            ),
            SERVER,
            ("!tool", "#!/bin/sh\n"),
        ],
        &expect![[r#"
            [app.a]
            command = ["npm", "start"]
            cwd = "…"
            ready = "tcp"
            kill_signal = "SIGINT"

            [app.a.liveness]
            check = "off"
            [app.b]
            command = ["bash", "-c", "node server.js && true"]
            cwd = "…"
            public = false
            ready = "tcp"
            kill_signal = "SIGINT"

            [app.b.liveness]
            check = "off"
            [app.c]
            command = ["./tool"]
            cwd = "…"
            public = false
            ready = "tcp"
            kill_signal = "SIGINT"

            [app.c.liveness]
            check = "off"
            [app.d]
            command = ["node", "server.js"]
            cwd = "…"
            public = false
            ready = "tcp"
            kill_signal = "SIGINT"

            [app.d.liveness]
            check = "off"
            - a: `script`: `npm` stays between: name the program that it starts, and workers stop and start sooner
            - d: `interpreter`: `node@18.1` is the `node` of PATH here: give the path of that version instead
            ! b: `atoll`: users do not reach it, other apps do at http://b.internal; say atoll: { paths: ["/b"] } if they shall, or atoll: { ready: "started" } if it listens nowhere
            ! c: `atoll`: users do not reach it, other apps do at http://c.internal; say atoll: { paths: ["/c"] } if they shall, or atoll: { ready: "started" } if it listens nowhere
            ! d: `atoll`: users do not reach it, other apps do at http://d.internal; say atoll: { paths: ["/d"] } if they shall, or atoll: { ready: "started" } if it listens nowhere
        "#]],
    );
}

#[test]
fn what_cannot_be_run_is_an_error_and_nothing_else_is() {
    check(
        &[(
            "process.json",
            r#"{ "apps": [{ "name": "a" }, 7, { "script": "s.js", "instances": "lots", "max_memory_restart": "big", "env": "x", "cwd": 1,
                "stop_exit_codes": [999], "atoll": { "helth": "/up", "ready": 3 } }] }"#,
        )],
        &expect![[r#"
            …/process.json: apps[0]: it has no `script` (write script: "server.js")
            …/process.json: apps[1]: it is not an object (write { script: "server.js" })
            …/process.json: apps[2].cwd: 1 is not a path
            …/process.json: apps[2].instances: "lots" is not a number of workers, "max", or a negative number: cores less so many
            …/process.json: apps[2].max_memory_restart: "big" is not a size like 512M
            …/process.json: apps[2].stop_exit_codes: a list is not a list of exit codes, 0 to 255
            …/process.json: apps[2].env: "x" is not an object of variables
            …/process.json: apps[2].atoll.helth: there is no key `helth` (docs/app.md has them all)
            …/process.json: apps[2].atoll.ready: 3 is not "http", "tcp", "ipc", "sd_notify", "started", or "log:" and a part of a line
        "#]],
    );
    check(
        &[("process.json", r#"{ "apps": [] }"#)],
        &expect![[r#"
        …/process.json: there is no app in it
    "#]],
    );
    check(
        &[("process.json", "{ \"apps\": [\n  { \"script\": } ] }")],
        &expect![[r#"
            …/process.json:2:15: not JSON: expected value (as JavaScript, line 2: node: SyntaxError: Unexpected token '}')
        "#]],
    );
    check(
        &[("process.yaml", "apps:\n  - script: 'x\n")],
        &expect![[r#"
        …/process.yaml:2:13: not YAML: while scanning a quoted scalar, found unexpected end of stream
    "#]],
    );
}

#[test]
fn programs_with_errors_are_told_by_nodes_own_words() {
    let error = |text: &str| {
        let folder = Folder::with(&[("ecosystem.config.js", text)]).unwrap();
        folder.shown(&folder.read("ecosystem.config.js", &Options::default()))
    };
    expect![[r#"
        …/ecosystem.config.js:3:1: node: SyntaxError: Unexpected token '}'
    "#]]
    .assert_eq(&error("module.exports = {\n  apps: [\n}\n"));
    expect![[r#"
        …/ecosystem.config.js:2:11: node: Error: Cannot find module './gone'
    "#]]
    .assert_eq(&error("\nconst x = require('./gone');\n"));
    expect![[r#"
        …/ecosystem.config.js:3:7: node: Error: not today
    "#]]
    .assert_eq(&error("\n\nthrow new Error('not today');\n"));
    expect![[r#"
        …/ecosystem.config.js: node: it exports nothing that is JSON
    "#]]
    .assert_eq(&error("process.exit(3);\n"));
    expect![[r#"
        …/ecosystem.config.js: apps[0]: it is not an object (write { script: "server.js" })
    "#]]
    .assert_eq(&error("module.exports = undefined;\n"));
    let large = "module.exports = { apps: [], x: 'x'.repeat(3 << 20) };\n";
    assert!(error(large).contains("what it exports is longer than"), "{}", error(large));
}

#[test]
fn what_is_converted_reads_back_as_the_same_apps() {
    let folder = Folder::with(&[
        ("ecosystem.json", r#"{ "apps": [{ "script": "server.js", "instances": 0, "env": { "A": "x\n\"y\"" }, "wait_ready": true }] }"#),
        SERVER,
    ])
    .unwrap();
    let file = folder.read("ecosystem.json", &Options::default()).unwrap_or_else(|problems| panic!("{problems}"));
    reads_back(&file.apps[0], &folder);
}

#[test]
fn restarts_by_the_clock() {
    for (said, wanted) in [
        ("'0 3 * * *'", "restart_at = \"0 3 * * *\""),
        ("'@daily'", "restart_at = \"@daily\""),
        // Six fields, seconds first.
        ("'0 0 3 * * 1-5'", "restart_at = \"0 3 * * 1-5\""),
        ("'*/30 0 3 * * *'", "! server: `cron_restart`: the seconds, `*/30`, are left aside"),
        ("'0 3 31 2 *'", "apps[0].cron_restart: `0 3 31 2 *` never comes"),
        ("'0 25 * * *'", "has `25` where the hour stands: it is 0 to 23"),
        ("5", "5 is not a time as cron writes it"),
    ] {
        let file = format!("module.exports = {{ apps: [{{ script: 'server.js', cron_restart: {said} }}] }}");
        let folder = Folder::with(&[("ecosystem.config.js", &file), SERVER]).unwrap();
        let shown = folder.shown(&folder.read("ecosystem.config.js", &Options::default()));
        assert!(shown.contains(wanted), "{said}: {shown}");
    }
    for never in ["0", "'0'", "''", "null", "false"] {
        let file = format!("module.exports = {{ apps: [{{ script: 'server.js', cron: {never} }}] }}");
        let folder = Folder::with(&[("ecosystem.config.js", &file), SERVER]).unwrap();
        let shown = folder.shown(&folder.read("ecosystem.config.js", &Options::default()));
        assert!(!shown.contains("restart_at") && shown.contains("[app.server]"), "{never}: {shown}");
    }
}
