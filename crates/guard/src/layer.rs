//! The guard as a `tower` layer: in front of a service, each request is judged, and who was let in is an
//! extension of the request.

use crate::{Denial, Guard, Needs, Shown};
use http::{HeaderMap, HeaderValue, Request, Response, header};
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use tower::{Layer, Service};

/// The layer: this guard, with what the doors behind it need.
#[derive(Clone)]
pub struct Keep {
    guard: Guard,
    needs: Needs,
}

impl Guard {
    /// A layer that keeps whatever is behind it.
    pub fn keep(&self, needs: Needs) -> Keep {
        Keep { guard: self.clone(), needs }
    }
}

impl<S> Layer<S> for Keep {
    type Service = Kept<S>;
    fn layer(&self, inner: S) -> Kept<S> {
        Kept { keep: self.clone(), inner }
    }
}

/// A service that is kept.
#[derive(Clone)]
pub struct Kept<S> {
    keep: Keep,
    inner: S,
}

/// Every value of a header, as text; one that is no text is no proof and no token.
fn all<'a>(headers: &'a HeaderMap, name: &header::HeaderName) -> Vec<&'a str> {
    headers.get_all(name).iter().map(|v| v.to_str().unwrap_or_default()).collect()
}

fn refused<B: Default>(denial: &Denial) -> Response<B> {
    let mut response = Response::new(B::default());
    *response.status_mut() = denial.status();
    *response.headers_mut() = denial.headers();
    response
}

impl<S, In, Out> Service<Request<In>> for Kept<S>
where
    S: Service<Request<In>, Response = Response<Out>> + Clone + Send + 'static,
    S::Future: Send,
    In: Send + 'static,
    Out: Default + Send + 'static,
{
    type Response = Response<Out>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Out>, S::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<In>) -> Self::Future {
        // The one that was ready is used; the clone waits its turn (tower's own advice).
        let fresh = self.inner.clone();
        let mut inner = std::mem::replace(&mut self.inner, fresh);
        let keep = self.keep.clone();
        Box::pin(async move {
            let judged = {
                let (method, path) = (request.method().clone(), request.uri().path().to_owned());
                let headers = request.headers().clone();
                let authorization = all(&headers, &header::AUTHORIZATION);
                let dpop = all(&headers, &header::HeaderName::from_static("dpop"));
                let shown = Shown { method: method.as_str(), path: &path, authorization: &authorization, dpop: &dpop };
                keep.guard.judge(&shown, &keep.needs).await
            };
            match judged {
                Err(denial) => Ok(refused(&denial)),
                Ok(let_in) => {
                    request.extensions_mut().insert(let_in.visitor);
                    let mut response = inner.call(request).await?;
                    if let Some(nonce) = let_in.nonce.and_then(|n| HeaderValue::from_str(&n).ok()) {
                        response.headers_mut().insert("dpop-nonce", nonce);
                    }
                    Ok(response)
                }
            }
        })
    }
}
