//! Commands that show a code here: sign in on this console, join as a further device.

use super::args::{Options, SignIn};
use super::{Found, phone};
use countersign_device::console::{say, sign_in as screen};
use countersign_device::oidc::{self, CodeFlow, Jwks};
use countersign_device::phone::InviteLink;
use countersign_device::terminal::{Arrival, Registered};
use countersign_device::{Fault, Phone, Terminal, machine};
use url::Url;

pub(super) async fn sign_in(options: &Options, wanted: &SignIn) -> Result<Found, Fault> {
    let mut console = options.console();
    let terminal = match &wanted.issuer {
        Some(issuer) => Terminal::new(options.http(), issuer)?,
        None => Terminal::of(options.http(), Registered::load(options.folder()?, options.tpm()?)?)?,
    };
    let discovery = oidc::discover(&terminal.http, terminal.issuer()).await?;
    let flow = CodeFlow::new(&wanted.client, &wanted.redirect_uri, &wanted.scope)?;
    let url = flow.url(&discovery, &terminal.tk().public().thumbprint());
    let redirect = match terminal.arrive(&url).await? {
        Arrival::Away(redirect) => redirect,
        Arrival::Flow(id) => {
            let ceremony = terminal.open(&id).await?;
            let headline = format!("Sign in to {}", say::tidy(&wanted.client));
            let collected = screen::run(&mut console, &terminal, &ceremony, &headline).await?;
            terminal.leave(&collected.next.ok_or_else(nowhere)?).await?
        }
    };
    let code = flow.code(&discovery, &redirect)?;
    let tokens = flow.exchange(&terminal.http, &discovery, terminal.tk(), &code).await?;
    let mut lines = vec!["Signed in.".to_owned()];
    let mut json = serde_json::Map::new();
    if let Some(text) = &tokens.id_token {
        let keys = Jwks::fetch(&terminal.http, &discovery).await?;
        let claims = keys.id_token(text, &discovery.issuer, &flow.client_id, &flow.nonce, machine::now())?;
        let name = match claims.name {
            Some(name) => Some(name),
            None => oidc::person(&terminal.http, &discovery, terminal.tk(), &tokens.access_token, &claims.sub)
                .await?
                .and_then(|person| person.name),
        };
        if let Some(name) = &name {
            lines.push(format!("  You are   {}", say::tidy(name)));
        }
        lines.push(format!("  Subject   {}", say::tidy(&claims.sub)));
        if let Some(acr) = &claims.acr {
            lines.push(format!("  Earned    {} ({})", say::tidy(acr), say::tidy(&claims.amr.join(" "))));
        }
        json.insert("sub".into(), claims.sub.into());
        json.insert("name".into(), name.into());
        json.insert("acr".into(), claims.acr.into());
        json.insert("amr".into(), claims.amr.into());
    }
    let scope = tokens.scope.clone().unwrap_or_else(|| flow.scope.clone());
    lines.push(format!("  Opens     {}", say::tidy(&scope)));
    if let Some(s) = tokens.expires_in {
        lines.push(format!("  For       {}", say::span(s)));
    }
    json.insert("scope".into(), scope.into());
    json.insert("token_type".into(), tokens.token_type.clone().into());
    json.insert("expires_in".into(), tokens.expires_in.into());
    if wanted.print_token {
        lines.push(format!("  Token     {}", tokens.access_token));
        json.insert("access_token".into(), tokens.access_token.into());
    }
    Ok(Found::new(lines, json.into()))
}

pub(super) async fn terminal(options: &Options, link: &str, in_tpm: bool) -> Result<Found, Fault> {
    let none = || Fault::Local("this machine has no TPM that tpm2-tools can speak with".into());
    let tpm = if in_tpm { Some(options.tpm()?.ok_or_else(none)?) } else { None };
    let registered = Registered::join(&options.http(), link, options.folder()?, tpm).await?;
    let kept = registered.kept();
    let plate = &kept.plate;
    let key = if plate.attested { "in its TPM" } else { "in a file" };
    let lines = vec![
        format!("Registered as {}.", say::tidy(&plate.name)),
        format!("  Place     {}", say::tidy(&plate.place)),
        format!("  Class     {}", say::tidy(&plate.class)),
        format!("  Key       {key}"),
    ];
    Ok(Found::new(lines, serde_json::json!({ "terminal": kept.terminal, "plate": plate })))
}

pub(super) async fn remote_control(options: &Options, yes: bool) -> Result<Found, Fault> {
    let registered = Registered::load(options.folder()?, options.tpm()?)?;
    registered.report(&options.http(), yes).await?;
    let word = if yes { "Reported: somebody far away has this terminal in hand." } else { "Reported: nobody far away has this terminal in hand." };
    Ok(Found::done(word))
}

pub(super) async fn add(options: &Options, issuer: &Url, name: &str) -> Result<Found, Fault> {
    let folder = options.folder()?;
    if Phone::is_kept_in(&folder)? {
        return Err(Fault::Local(format!("`{}` holds an enrolled device already", folder.path().display())));
    }
    let mut console = options.console();
    let terminal = Terminal::new(options.http(), issuer)?;
    let ceremony = terminal.open_enrolment(name).await?;
    let collected = screen::run(&mut console, &terminal, &ceremony, "Add this device").await?;
    let token = collected.reply.ticket.ok_or_else(nowhere)?;
    let invite = InviteLink { issuer: issuer.clone(), token };
    let (http, key) = terminal.into_parts();
    let joined = Phone::enrol_with(http, &invite, key, name, Some(folder)).await?;
    Ok(phone::enrolled(&joined))
}

fn nowhere() -> Fault {
    Fault::Unreachable("the server named no place to go".into())
}
