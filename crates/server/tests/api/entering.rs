//! Who is let in.

use insta::assert_snapshot;

use crate::running::Running;

const ROUTES: [(&str, &str); 21] = [
    ("POST", "/v1/jobs"),
    ("GET", "/v1/jobs"),
    ("GET", "/v1/jobs/j1"),
    ("DELETE", "/v1/jobs/j1"),
    ("POST", "/v1/jobs/j1/retry"),
    ("POST", "/v1/jobs/j1/ack"),
    ("POST", "/v1/jobs/j1/fail"),
    ("POST", "/v1/jobs/j1/extend"),
    ("POST", "/v1/jobs/j1/snooze"),
    ("POST", "/v1/finish"),
    ("POST", "/v1/lease"),
    ("GET", "/v1/queues"),
    ("POST", "/v1/queues/q/pause"),
    ("POST", "/v1/queues/q/resume"),
    ("DELETE", "/v1/queues/q/keys/k"),
    ("GET", "/v1/status"),
    ("GET", "/v1/agents"),
    ("POST", "/v1/agents/web1"),
    ("POST", "/v1/agents/web1/lease"),
    ("POST", "/v1/agents/web1/orders"),
    ("GET", "/v1/nothing/here"),
];

#[tokio::test]
async fn nothing_under_v1_answers_without_the_token() {
    let server = Running::start().await;
    for (method, path) in ROUTES {
        let without = server.client.request(method, path).header("Authorization", None).send().await;
        assert_eq!((without.status, without.header("www-authenticate")), (401, Some("Bearer")), "{method} {path}");
    }
    let with = async |value: Option<&'static str>| {
        server.client.request("GET", "/v1/status").header("Authorization", value).send().await.problem()
    };
    assert_snapshot!(with(None).await, @r"
    401 unauthorized
    no token came with the request
      It was not looked at, and nothing was changed.
    hint: send the header `Authorization: Bearer TOKEN` with the text in the server's token file
    ");
    assert_eq!(with(Some("Basic YTpi")).await, with(None).await);
    assert_snapshot!(
        with(Some("Bearer alo_0000000000000000000000000000000000000000000000000000000000000000")).await,
        @r"
    401 unauthorized
    the token is not this server's
      The request was not looked at, and nothing was changed.
    hint: send the text in the server's token file; each server has its own
    "
    );
    assert!(with(Some("Bearer x")).await.starts_with("401 unauthorized\nthe token is not this server's"));
    server.stop().await;
}

#[tokio::test]
async fn another_apps_name_is_refused() {
    let server = Running::start().await;
    let with = async |app| server.client.request("GET", "/v1/status").header("Aloud-App", app).send().await;
    assert_snapshot!(with("shop").await.problem(), @r"
    403 other-app
    the request is for the app `shop`, and this server belongs to `notice`
      It was not looked at, and nothing was changed. Two apps never share a queue by accident.
    hint: send it to the server of `shop`, or set the app's name to `notice`
    ");
    assert_eq!(with("notice").await.status, 200);
    server.stop().await;
}

#[tokio::test]
async fn a_name_that_is_not_the_servers_is_refused_even_with_the_token() {
    let server = Running::under(|options| options.allowed_hosts.push("queue.example".to_owned())).await;
    let with =
        async |host: Option<&'static str>| server.client.request("GET", "/v1/status").header("Host", host).send().await;
    assert_snapshot!(with(Some("rebound.example:7420")).await.problem(), @r#"
    421 wrong-host
    "rebound.example:7420" is not a name of this server
      The request was not looked at, and nothing was changed. A web page elsewhere could otherwise reach this server through a name that it controls.
    hint: call it `127.0.0.1` or `localhost`, or add the name to the server's `allowed_hosts`
    "#);
    assert_eq!(with(Some("localhost:1")).await.status, 200);
    assert_eq!(with(Some("[::1]")).await.status, 200);
    assert_eq!(with(Some("queue.example")).await.status, 200);
    assert_eq!(with(None).await.at("/type"), "about:blank#wrong-host");
    let absolute = server.client.request("GET", "http://rebound.example/v1/status").send().await;
    assert_eq!(absolute.at("/type"), "about:blank#wrong-host");
    server.stop().await;
}

#[tokio::test]
async fn a_page_of_another_site_is_refused() {
    let server = Running::start().await;
    let with = async |origin| server.client.request("GET", "/v1/status").header("Origin", origin).send().await;
    assert_snapshot!(with("https://evil.example").await.problem(), @r#"
    403 wrong-origin
    the request comes from a page of "https://evil.example"
      It was not looked at, and nothing was changed. Pages of other sites may not use this server.
    hint: add the page's host to the server's `allowed_hosts` if it is yours
    "#);
    for origin in ["null", "localhost", "http://127.0.0.1.evil.example", ""] {
        assert_eq!(with(origin).await.status, 403, "{origin}");
    }
    assert_eq!(with("http://localhost:3000").await.status, 200);
    server.stop().await;
}

#[tokio::test]
async fn an_address_or_a_method_that_is_not_there_is_a_problem() {
    let server = Running::start().await;
    assert_snapshot!(server.client.get("/v1/nothing/here").await.problem(), @r"
    404 no-such-address
    there is nothing at this address
      Nothing was changed.
    hint: look at the path; the API lies under `/v1`, and a `/` in an id, queue or key is written `%2F`
    ");
    for path in ["/", "/v1", "/v1/", "/v2/jobs", "/v1/jobs/", "/%761/status"] {
        assert_eq!(server.client.get(path).await.at("/type"), "about:blank#no-such-address", "{path}");
    }
    let wrong = server.client.request("PUT", "/v1/jobs/j1").send().await;
    assert_eq!(wrong.header("allow"), Some("GET,HEAD,DELETE"));
    assert_snapshot!(wrong.problem(), @r"
    405 wrong-method
    PUT cannot be done to this address
      Nothing was changed.
    hint: use one of the methods that the header `Allow` of this answer names
    ");
    assert_eq!(server.client.request("POST", "/livez").send().await.status, 405);
    server.stop().await;
}
