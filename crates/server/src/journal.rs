//! One line in the log for each request, and an answer even to a defect.
//!
//! What is logged of a request is its method, its route (`/v1/jobs/{id}`, not
//! the id), its status and how long it took: never a header, a path or a body.

use std::panic::AssertUnwindSafe;

use axum::extract::{MatchedPath, Request};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use futures_util::FutureExt;
use tokio::time::Instant;

use crate::problem::Problem;

pub(crate) async fn journal(request: Request, next: Next) -> Response {
    let began = Instant::now();
    let method = request.method().clone();
    let route = request.extensions().get::<MatchedPath>().cloned();
    let route = route.as_ref().map_or("(no such address)", MatchedPath::as_str);
    let answered = AssertUnwindSafe(next.run(request)).catch_unwind().await;
    let response = answered.unwrap_or_else(|_| {
        tracing::error!(%method, route, "a defect: the request's handler panicked");
        Problem::broken().into_response()
    });
    let (status, took) = (response.status().as_u16(), began.elapsed());
    if response.status().is_server_error() {
        tracing::warn!(%method, route, status, ?took, "answered");
    } else {
        tracing::debug!(%method, route, status, ?took, "answered");
    }
    response
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::{Arc, Mutex};

    use axum::Router;
    use axum::body::Body;
    use axum::extract::Path;
    use axum::middleware::from_fn;
    use axum::routing::post;
    use hyper::service::Service;
    use hyper_util::service::TowerToHyperService;
    use tracing_subscriber::fmt::MakeWriter;

    use super::*;

    /// A log that a test can read.
    #[derive(Clone, Default)]
    struct Log(Arc<Mutex<Vec<u8>>>);

    impl Write for Log {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    impl MakeWriter<'_> for Log {
        type Writer = Self;

        fn make_writer(&self) -> Self {
            self.clone()
        }
    }

    async fn defect(Path(id): Path<String>, body: String) -> String {
        panic!("with {id} and {body}")
    }

    #[tokio::test]
    async fn the_log_names_routes_and_statuses_and_nothing_that_was_sent() {
        let log = Log::default();
        let subscriber = tracing_subscriber::fmt().with_max_level(tracing::Level::TRACE).with_ansi(false);
        let guard = tracing::subscriber::set_default(subscriber.with_writer(log.clone()).finish());
        let router = Router::new()
            .route("/jobs/{id}", post(async |body: String| body))
            .route("/defects/{id}", post(defect))
            .layer(from_fn(journal));
        let service = TowerToHyperService::new(router);
        let mut statuses = Vec::new();
        for path in ["/jobs/private-id?key=private-key", "/defects/private-id", "/private-path"] {
            let request = Request::post(path).header("Authorization", "Bearer private-token");
            let request = request.body(Body::from("private-payload")).unwrap();
            statuses.push(service.call(request).await.unwrap().status().as_u16());
        }
        assert_eq!(statuses, [200, 500, 404]);
        drop(guard);
        let log = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
        assert!(!log.contains("private"), "{log}");
        let lines = log.lines().map(|line| {
            let line = line.split_once(" server::journal: ").map_or(line, |(_, line)| line);
            line.split_once(" took=").map_or(line, |(line, _)| line)
        });
        insta::assert_snapshot!(lines.collect::<Vec<_>>().join("\n"), @r#"
        answered method=POST route="/jobs/{id}" status=200
        a defect: the request's handler panicked method=POST route="/defects/{id}"
        answered method=POST route="/defects/{id}" status=500
        answered method=POST route="(no such address)" status=404
        "#);
    }
}
