//! Lines as they occur, with and without secrets. Every secret here is made up.

use super::mask;
use proptest::prelude::*;

fn check(table: &[(&str, &str)]) {
    for (line, expected) in table {
        let masked = mask(line);
        assert_eq!(masked, *expected, "{line}");
        assert_eq!(mask(&masked), *expected, "masked twice: {line}");
        let inside = format!("x y; {line}");
        assert_eq!(mask(&inside), format!("x y; {expected}"), "not at the start: {line}");
    }
}

fn check_untouched(lines: &[&str]) {
    for line in lines {
        assert_eq!(mask(line), *line);
    }
}

#[test]
fn flags_lose_their_values() {
    check(&[
        ("deploy --password hunter2 --host db1", "deploy --password *** --host db1"),
        ("deploy --password=hunter2 --host db1", "deploy --password=*** --host db1"),
        ("deploy --password='two words' -v", "deploy --password='***' -v"),
        ("deploy --password \"a \\\" b\" -v", "deploy --password \"***\" -v"),
        ("deploy --password=my\\ pass -v", "deploy --password=*** -v"),
        ("deploy --password=", "deploy --password="),
        ("deploy --db-password=geheim,komma x", "deploy --db-password=*** x"),
        ("run --pass s3cret", "run --pass ***"),
        ("java -Ddb.password=abc -jar x.jar", "java -Ddb.password=*** -jar x.jar"),
        ("tool -password abc", "tool -password ***"),
        ("cli --token abcdef login", "cli --token *** login"),
        ("cli --TOKEN=abcdef", "cli --TOKEN=***"),
        ("cli --auth-token=x --verbose", "cli --auth-token=*** --verbose"),
        (
            "cli --api-key k1 --apikey=k2 --api_key k3",
            "cli --api-key *** --apikey=*** --api_key ***",
        ),
        ("cli --client-secret s --secret-key k", "cli --client-secret *** --secret-key ***"),
        ("cli --account-key=abc==", "cli --account-key=***"),
        ("cli --passphrase 'ä ö'", "cli --passphrase '***'"),
        ("cli '--password' 'x'", "cli '--password' 'x'"),
        ("argv [\"--password\", \"x y\"]", "argv [\"--password\", \"***\"]"),
        (
            "kubectl create secret generic s --from-literal=key=abc",
            "kubectl create secret generic s --from-literal=key=***",
        ),
        (
            "aws configure set aws_secret_access_key abc/def",
            "aws configure set aws_secret_access_key ***",
        ),
    ]);
}

#[test]
fn assignments_lose_their_values() {
    check(&[
        ("export FOO_SECRET=abc && make", "export FOO_SECRET=*** && make"),
        ("GITHUB_TOKEN=abc gh pr list", "GITHUB_TOKEN=*** gh pr list"),
        ("PASSWORD=abc ./x", "PASSWORD=*** ./x"),
        ("PGPASSWORD='a b' psql -h db", "PGPASSWORD='***' psql -h db"),
        ("set DB_PASS=1234 x", "set DB_PASS=*** x"),
        ("MYSQL_PWD=root mysql", "MYSQL_PWD=*** mysql"),
        ("AWS_SECRET_ACCESS_KEY=abc/+d aws s3 ls", "AWS_SECRET_ACCESS_KEY=*** aws s3 ls"),
        ("docker run -e API_KEY=abc -e A=b img", "docker run -e API_KEY=*** -e A=b img"),
        (
            "npm config set //r.example/:_authToken=abc",
            "npm config set //r.example/:_authToken=***",
        ),
        ("Server=db;Uid=sa;Pwd=abc;Database=x", "Server=db;Uid=sa;Pwd=***;Database=x"),
        ("AccountName=x;AccountKey=abc==;Endpoint=y", "AccountName=x;AccountKey=***;Endpoint=y"),
        ("psql 'host=db password=abc user=x'", "psql 'host=db password=*** user=x'"),
        ("password = abc", "password = ***"),
        (
            "curl 'https://x.example/?access_token=abc&page=2'",
            "curl 'https://x.example/?access_token=***&page=2'",
        ),
        ("https://b.example/c?sv=1&sig=a%2Fb&se=2", "https://b.example/c?sv=1&sig=***&se=2"),
        (
            "https://b.example/c?X-Amz-Signature=abc&y=1",
            "https://b.example/c?X-Amz-Signature=***&y=1",
        ),
        ("say \\\"password=abc\\\" twice", "say \\\"password=***\\\" twice"),
    ]);
}

#[test]
fn members_and_headers_lose_their_values() {
    check(&[
        ("{\"user\":\"x\",\"password\":\"abc\"}", "{\"user\":\"x\",\"password\":\"***\"}"),
        (
            "{\\\"token\\\": \\\"abc\\\", \\\"a\\\": 1}",
            "{\\\"token\\\": \\\"***\\\", \\\"a\\\": 1}",
        ),
        ("{'client_secret': 'abc'}", "{'client_secret': '***'}"),
        ("db_password: abc", "db_password: ***"),
        ("curl -H 'X-Api-Key: abc' u", "curl -H 'X-Api-Key: ***' u"),
        ("curl -H \"PRIVATE-TOKEN: abc\" u", "curl -H \"PRIVATE-TOKEN: ***\" u"),
        ("curl -H 'X-Vault-Token: abc' u", "curl -H 'X-Vault-Token: ***' u"),
        ("curl -H 'Authorization: Bearer abc.def' u", "curl -H 'Authorization: Bearer ***' u"),
        ("curl -H 'authorization: basic dXNlcjp4' u", "curl -H 'authorization: basic ***' u"),
        ("Authorization: Digest username=\"x\", r=\"y\"\nnext", "Authorization: Digest ***\nnext"),
        ("sent Authorization: 8f14e45fceea167a", "sent Authorization: ***"),
        ("401 for bearer 8f14e45fceea167a", "401 for bearer ***"),
        ("curl -H 'Cookie: sid=abc; t=1' u", "curl -H 'Cookie: ***' u"),
        ("Set-Cookie: sid=abc; Path=/\nOK", "Set-Cookie: ***\nOK"),
        ("curl --cookie 'sid=abc' u", "curl --cookie '***' u"),
    ]);
}

#[test]
fn programs_with_short_flags_lose_their_passwords() {
    check(&[
        ("mysql -u root -pabc db", "mysql -u root -p*** db"),
        ("mysql -uroot -e \"select 1;\" -p'a b' db", "mysql -uroot -e \"select 1;\" -p'***' db"),
        ("/usr/bin/mysqldump -pabc --all", "/usr/bin/mysqldump -p*** --all"),
        ("mariadb-dump -h h -pabc", "mariadb-dump -h h -p***"),
        ("sshpass -p abc ssh h", "sshpass -p *** ssh h"),
        ("sshpass -pabc ssh h", "sshpass -p*** ssh h"),
        ("docker login -u x -p abc r.example", "docker login -u x -p *** r.example"),
        ("mongosh -u x -p abc", "mongosh -u x -p ***"),
        ("redis-cli -h h -a abc ping", "redis-cli -h h -a *** ping"),
        ("7z a -pabc x.7z y", "7z a -p*** x.7z y"),
        ("unzip -P abc x.zip", "unzip -P *** x.zip"),
        ("sqlcmd -S h -U sa -P abc -Q q", "sqlcmd -S h -U sa -P *** -Q q"),
        ("ldapsearch -x -D cn=a -w abc -b dc=x", "ldapsearch -x -D cn=a -w *** -b dc=x"),
        ("openssl rsa -passin pass:abc -in k", "openssl rsa -passin pass:*** -in k"),
        ("gh secret set NAME --body abc", "gh secret set NAME --body ***"),
        ("curl -u user:abc https://x.example", "curl -u user:*** https://x.example"),
        ("curl -sSfu 'user:a b' x", "curl -sSfu 'user:*** b' x"),
        ("curl --user=user:abc x", "curl --user=user:*** x"),
        ("smbclient //h/s -U user%abc", "smbclient //h/s -U user%***"),
    ]);
}

#[test]
fn addresses_and_tokens_are_masked_wherever_they_stand() {
    check(&[
        ("git clone https://user:abc@git.example/r", "git clone https://user:***@git.example/r"),
        ("psql postgres://u:p@ss:w@db:5432/x", "psql postgres://u:***@db:5432/x"),
        ("redis://:abc@h:6379/0", "redis://:***@h:6379/0"),
        ("https://0123456789abcdef01234567@sentry.example/1", "https://***@sentry.example/1"),
        ("aws --x AKIAIOSFODNN7EXAMPLE y", "aws --x *** y"),
        ("id ASIAIOSFODNN7EXAMPLE", "id ***"),
        ("use ghp_0123456789abcdefABCDEF0123456789abcd", "use ***"),
        ("(github_pat_11ABCDEFG0123456789_abcdef)", "(***)"),
        ("got glpat-ABCdef0123456789_xyz", "got ***"),
        ("xoxb-123456789012-abcdefABCDEF", "***"),
        (
            "post https://hooks.slack.com/services/T000/B000/XyZ1",
            "post https://hooks.slack.com/services/***",
        ),
        ("npm_0123456789abcdefghijABCDEFGHIJ012345 x", "*** x"),
        ("key emx_0123456789abcdefABCDEF0123", "key ***"),
        ("sk-proj-0123456789abcdefABCD", "***"),
        ("sk_live_0123456789abcdef", "***"),
        ("AIzaSyA0123456789abcdefghijklmnopqrstuv", "***"),
        ("hf_abcdefghijKLMNOPQRST012345", "***"),
        ("jwt eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl end", "jwt *** end"),
        ("cut eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOi", "cut ***"),
        (
            "a -----BEGIN RSA PRIVATE KEY-----\nMIIE\nabcd\n-----END RSA PRIVATE KEY----- b",
            "a -----BEGIN RSA PRIVATE KEY-----***-----END RSA PRIVATE KEY----- b",
        ),
        (
            "-----BEGIN OPENSSH PRIVATE KEY-----\\nb3Blbn\\n-----END OPENSSH PRIVATE KEY-----\\n",
            "-----BEGIN OPENSSH PRIVATE KEY-----***-----END OPENSSH PRIVATE KEY-----\\n",
        ),
        ("-----BEGIN PRIVATE KEY-----\nMIIE\ncut", "-----BEGIN PRIVATE KEY-----***"),
    ]);
}

#[test]
fn what_is_no_secret_stays() {
    check_untouched(&[
        "",
        "cargo build --release",
        "mkdir -p /tmp/a/b",
        "cargo test -p storage token::tests",
        "docker run -p 8080:80 nginx",
        "docker login --password-stdin r.example",
        "ssh -p 2222 git@github.com",
        "git clone git@github.com:o/r.git",
        "git clone ssh://git@host:22/r",
        "curl https://x.example:8443/@scope/pkg",
        "npm install @types/node@20",
        "mail to a@b.example about https://x.example/",
        "mysql -P3306 -h db --port=3306",
        "mysql -u root -p db",
        "mysql_config && mkdir -pv x",
        "cli --password-file /run/x --token-file=/run/y",
        "cli --password --host db",
        "cli --password $DB_PASSWORD --token=${TOKEN}",
        "cli --token=$(gh auth token)",
        "set PASSWORD=%DB_PASSWORD%",
        "curl -H \"Authorization: Bearer $TOKEN\" u",
        "git push https://user:$TOKEN@host/r",
        "docker build --secret id=npmrc,src=.npmrc .",
        "cd $PWD && PWD=/tmp make",
        "max_tokens=100 tokens=5 tokenizer=bpe",
        "PASS=12 FAIL=0",
        "compass=north bypass=1 monkey=x",
        "error: unexpected token: '}'",
        "sudo: a password is required",
        "Permission denied (publickey,password).",
        "authorization failed",
        "authorization: denied",
        "bearer authentication is required",
        "npm run build npm_config_registry npm_lifecycle_event",
        "emx_bench emx_hook",
        "pip install sk-learn-something-quite-long-here",
        "task-runner disk-usage",
        "-----BEGIN CERTIFICATE-----\nMIIC\n-----END CERTIFICATE-----",
        "ssh-keygen -t ed25519 -f key",
        "eyJ is how they begin",
        "curl --cookie-jar jar.txt u",
        "cat cookies.txt: not found",
        "making AKIA",
        "zip -r x.zip d && mkdir -P",
        "ls ключ пароль 密码",
    ]);
}

proptest! {
    #[test]
    fn masking_twice_is_masking_once(
        words in proptest::collection::vec(
            prop_oneof![
                "\\PC{0,12}",
                "[a-z0-9]{1,8}",
                proptest::sample::select(vec![
                    "--password", "--token=", "-p", "mysql", "export FOO_SECRET=", "://", "@", ":",
                    "Authorization: Bearer ", "\"password\":\"", "'", "\"", "\\", "\n", "Cookie: ",
                    "-----BEGIN PRIVATE KEY-----", "-----END PRIVATE KEY-----", "$X", "curl -u ",
                    "AKIAIOSFODNN7EXAMPLE", "ghp_0123456789abcdef0123", "password: ", "=",
                ]).prop_map(str::to_owned),
            ],
            0..12,
        ),
        spaced in any::<bool>(),
    ) {
        let text = words.join(if spaced { " " } else { "" });
        let once = mask(&text).into_owned();
        let twice = mask(&once).into_owned();
        prop_assert_eq!(mask(&twice).into_owned(), twice);
    }

    #[test]
    fn the_first_look_misses_nothing(before in "[a-zA-Z0-9_. =:@/-]{0,20}", secret in "[a-z]{3}[0-9]{9}") {
        for (open, close) in [("--password ", ""), ("FOO_TOKEN=", ""), ("https://u:", "@h")] {
            let line = format!("{before} {open}{secret}{close}");
            prop_assert!(!mask(&line).contains(&secret), "{}", line);
        }
    }
}
