//! What a page says about secrets, and the commands by which a reader tries a provider without having an account there.

use super::words;
use webhook_signatures::{Algorithm, KeyForm, Provider, Scheme, SecretNeed, Setting, sample};

/// How the name of a source begins that is only there to try.
pub(super) const TRY: &str = "try-";
/// Where a server listens whose operator has changed nothing.
const LOCAL: &str = "http://127.0.0.1:8080/in/";
/// What stands for the operator's own address.
pub(super) const PUBLIC: &str = "https://hooks.example.com/in/";

/// The form of a secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Text,
    Password,
    Hex,
    Base64,
    Standard,
    Key(Algorithm),
}

/// The form of the secret that the row's first scheme wants; nothing where nothing is checked.
fn form(row: &Provider) -> Option<Form> {
    let of = |key, algorithms: &[Algorithm]| match (key, algorithms.first()) {
        (KeyForm::Public | KeyForm::StandardEd25519, Some(algorithm)) => Form::Key(*algorithm),
        (KeyForm::Hex, _) => Form::Hex,
        (KeyForm::Base64, _) => Form::Base64,
        (KeyForm::Standard | KeyForm::StandardOrUtf8, _) => Form::Standard,
        _ => Form::Text,
    };
    Some(match row.schemes.first()? {
        Scheme::Signed(signed) => of(signed.key, &[signed.algorithm]),
        Scheme::Jwt(jwt) => of(jwt.key, &jwt.algorithms),
        Scheme::HttpSignature(scheme) => of(scheme.key, &scheme.algorithms),
        Scheme::Basic => Form::Password,
        Scheme::Token(_) => Form::Text,
        Scheme::None | _ => return None,
    })
}

/// What the secret is, in a sentence; nothing where there is none.
pub(super) fn secret(row: &Provider) -> Option<String> {
    let text = match form(row)? {
        Form::Text => "The secret is taken as it is, every character of it.",
        Form::Password => {
            "The secret is `user:password`: both of your own choice, the same as at the provider."
        }
        Form::Hex => "The secret is hexadecimal, as the provider shows it.",
        Form::Base64 => "The secret is base64, as the provider shows it.",
        Form::Standard => "The secret is `whsec_` and base64, as the provider shows it.",
        Form::Key(algorithm) => {
            let kind = words::key_kind(algorithm);
            return Some(format!(
                "The secret is the public key ({kind}) as PEM, as base64 of its DER, or as a JWK{}.",
                if algorithm == Algorithm::Ed25519 {
                    ", or its 32 bytes in hex or base64"
                } else {
                    ""
                }
            ));
        }
    };
    Some(text.to_owned())
}

/// A shell word that makes a secret of this form.
fn made(form: Form) -> Option<&'static str> {
    Some(match form {
        Form::Text | Form::Hex => "\"$(openssl rand -hex 32)\"",
        Form::Password => "\"doorbell:$(openssl rand -hex 16)\"",
        Form::Base64 => "\"$(openssl rand -base64 32)\"",
        Form::Standard => "\"whsec_$(openssl rand -base64 24)\"",
        Form::Key(Algorithm::Ed25519) => "\"$(openssl genpkey -algorithm ed25519)\"",
        Form::Key(Algorithm::EcdsaP256 | Algorithm::EcdsaP256Fixed) => {
            "\"$(openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256)\""
        }
        Form::Key(Algorithm::RsaSha256 | Algorithm::RsaSha512) => {
            "\"$(openssl genpkey -quiet -algorithm RSA -pkeyopt rsa_keygen_bits:2048)\""
        }
        // Nothing here signs with RSA and SHA-1.
        Form::Key(_) => return None,
    })
}

/// A required option with a value as the provider would give it.
pub(super) fn option(row: &Provider, setting: &Setting) -> String {
    let value = match setting.name.as_ref() {
        "topic_arn" => "arn:aws:sns:us-east-1:123456789012:MyTopic".to_owned(),
        "audience" => format!("{PUBLIC}{}", row.name),
        "email" => "push@my-project.iam.gserviceaccount.com".to_owned(),
        "issuer" => "https://issuer.example.com".to_owned(),
        "jwks_url" => "https://keys.example.com/.well-known/jwks.json".to_owned(),
        "webhook_id" => "1JE4291016473214C".to_owned(),
        other => other.to_owned(),
    };
    format!(" --option {}={value}", setting.name)
}

/// The section "Try it".
pub(super) fn section(row: &Provider) -> String {
    let name = &row.name;
    let Some(sample) = sample(name, None) else { return String::new() };
    let (secret, shown) = match form(row) {
        None => (String::new(), ""),
        Some(form) => match made(form) {
            None => {
                return format!(
                    "\n## Try it\n\n`doorbell trigger` cannot sign as {} does: the private key is the provider's, and nothing here \
                     makes new RSA signatures with SHA-1. `doorbell verify` checks a request that you have captured.\n",
                    row.title
                );
            }
            Some(made) => (format!("SECRET={made}\n"), " --secret \"$SECRET\""),
        },
    };
    let required = row.settings.iter().filter(|setting| setting.required);
    let options: String = required.map(|setting| option(row, setting)).collect();
    let (own, to) = (format!("{TRY}{name}"), format!("{LOCAL}{TRY}{name}"));
    let url = if row.signs_url() { format!(" --set public_url={to}") } else { String::new() };
    let event = match sample.event_type {
        "" | "test" => String::new(),
        event => format!(" '{event}'"),
    };
    format!(
        "\n## Try it\n\nOn the machine of the server (`doorbell serve`), {}:\n\n```sh\n{secret}\
         doorbell source create {own} --provider {name}{shown}{options}{url}\n\
         doorbell trigger {name}{event} --to {to}{shown}{options}\n```\n",
        stand_in(row)
    )
}

/// What takes the provider's place.
fn stand_in(row: &Provider) -> &'static str {
    match form(row) {
        None => "with nothing to be checked",
        Some(Form::Key(_)) if row.secret_need() == SecretNeed::Required => {
            "with a key pair of your own in place of the provider's"
        }
        Some(Form::Key(_)) => {
            "with a key pair of your own in place of the provider's, which is then not fetched"
        }
        Some(_) => "with a secret made up for it",
    }
}

/// What the page says in place of a list of samples.
pub(super) const PLAIN: &str = "\nThere is no sample of its events: the body that is sent has the fields that are read here, and no more.\n";
