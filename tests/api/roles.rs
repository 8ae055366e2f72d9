//! Every route of the OpenAPI document for every role: a route without a row here fails.

use serde_json::{Value, json};

use crate::harness::{Client, Fetch, Form, PASSWORD, TestApp, id_of, merged, noise, picture, registration};

/// What a caller needs for a route.
#[derive(Clone, Copy, Debug)]
enum Needs {
    /// Nothing; what the answer is, other tests say.
    Nothing,
    SignIn,
    /// A level on the file that the route is about.
    File(usize),
    /// A level on the folder that the route is about, or that the thing goes into.
    Folder(usize),
    /// To own the thing.
    Ownership,
    /// To be an administrator, which none of the roles is.
    Administration,
    /// `admin` on the file; for everybody else there is nothing to share on.
    ShareOn,
    /// `admin` on the file whose share it is, which was given to nobody.
    ShareOf,
}

const VIEW: usize = 0;
const DOWNLOAD: usize = 1;
const EDIT: usize = 2;
const ADMIN: usize = 3;
const LEVELS: [&str; 4] = ["view", "download", "edit", "admin"];

#[derive(Clone, Copy, Debug, PartialEq)]
enum Role {
    Owner,
    /// Given the file itself at a level.
    OnFile(usize),
    /// Given the folder it is in.
    OnFolder(usize),
    /// Given a folder above that.
    Above(usize),
    /// Given everything once.
    Revoked,
    Stranger,
    Anonymous,
}

use Needs::{Administration, File, Folder, Nothing, Ownership, ShareOf, ShareOn, SignIn};

const ROUTES: &[(&str, &str, Needs)] = &[
    ("get", "/api/openapi.json", Nothing),
    ("post", "/api/auth/login", Nothing),
    ("post", "/api/auth/logout", Nothing),
    ("get", "/api/auth/me", SignIn),
    ("post", "/api/auth/refresh", Nothing),
    ("post", "/api/auth/reset_password", SignIn),
    ("post", "/api/auth/retrieve", Nothing),
    ("get", "/api/slack/login", Nothing),
    ("get", "/api/slack/callback", Nothing),
    ("get", "/api/auth/sessions", SignIn),
    ("delete", "/api/auth/sessions/{id}", Ownership),
    ("get", "/api/cdn/api-keys/", SignIn),
    ("post", "/api/cdn/api-keys/", SignIn),
    ("delete", "/api/cdn/api-keys/{id}/", Ownership),
    ("get", "/api/admin/users/", Administration),
    ("get", "/api/admin/users/{id}/", Administration),
    ("patch", "/api/admin/users/{id}/", Administration),
    ("post", "/api/admin/users/{id}/sign-out/", Administration),
    ("get", "/api/admin/stats/", Administration),
    ("get", "/api/admin/audit/", Administration),
    ("get", "/api/admin/jobs/", Administration),
    ("get", "/api/cdn/folders/", SignIn),
    ("post", "/api/cdn/folders/", Folder(EDIT)),
    ("get", "/api/cdn/folders/root/", SignIn),
    ("get", "/api/cdn/folders/{id}/", Folder(VIEW)),
    ("put", "/api/cdn/folders/{id}/", Folder(EDIT)),
    ("patch", "/api/cdn/folders/{id}/", Folder(EDIT)),
    ("delete", "/api/cdn/folders/{id}/", Folder(ADMIN)),
    ("get", "/api/cdn/folders/{id}/contents/", Folder(VIEW)),
    ("get", "/api/cdn/folders/{id}/zip/", Folder(DOWNLOAD)),
    ("post", "/api/cdn/folders/{id}/star/", Folder(VIEW)),
    ("get", "/api/cdn/files/", SignIn),
    ("post", "/api/cdn/files/upload/", Folder(EDIT)),
    ("get", "/api/cdn/files/starred/", SignIn),
    ("get", "/api/cdn/files/recent/", SignIn),
    ("get", "/api/cdn/files/{id}/", File(VIEW)),
    ("put", "/api/cdn/files/{id}/", File(EDIT)),
    ("patch", "/api/cdn/files/{id}/", File(EDIT)),
    ("delete", "/api/cdn/files/{id}/", File(ADMIN)),
    ("get", "/api/cdn/files/{id}/download/", File(DOWNLOAD)),
    ("get", "/api/cdn/files/{id}/thumbnail/", File(VIEW)),
    ("head", "/api/cdn/files/{id}/thumbnail/", File(VIEW)),
    ("post", "/api/cdn/files/{id}/star/", File(VIEW)),
    ("get", "/api/cdn/files/{id}/versions/", File(VIEW)),
    ("post", "/api/cdn/files/{id}/versions/", File(EDIT)),
    ("get", "/api/cdn/files/{id}/versions/{number}/download/", File(DOWNLOAD)),
    ("post", "/api/cdn/files/{id}/versions/{number}/restore/", File(EDIT)),
    ("delete", "/api/cdn/files/{id}/versions/{number}/", File(ADMIN)),
    ("post", "/api/cdn/uploads/", Folder(EDIT)),
    ("put", "/api/cdn/uploads/{filename}", Folder(EDIT)),
    ("get", "/api/cdn/trash/", SignIn),
    ("post", "/api/cdn/trash/{id}/restore/", Ownership),
    ("delete", "/api/cdn/trash/{id}/", Ownership),
    ("post", "/api/cdn/trash/empty/", SignIn),
    ("get", "/api/cdn/dashboard/", SignIn),
    ("get", "/api/cdn/activity/", SignIn),
    ("get", "/api/cdn/analytics/", SignIn),
    ("get", "/api/cdn/search/", SignIn),
    ("post", "/api/cdn/bulk/", SignIn),
    ("get", "/api/cdn/processing/", SignIn),
    ("get", "/api/cdn/processing/{id}/", Ownership),
    ("post", "/api/cdn/processing/{id}/retry/", Ownership),
    ("post", "/api/cdn/upload-0x0/", SignIn),
    ("get", "/api/cdn/upload-0x0/status/", SignIn),
    ("get", "/api/cdn/events/", SignIn),
    ("get", "/api/cdn/shares/", SignIn),
    ("post", "/api/cdn/shares/", ShareOn),
    ("get", "/api/cdn/shares/status/", File(VIEW)),
    ("get", "/api/cdn/shares/public/", Nothing),
    ("post", "/api/cdn/shares/public/", Nothing),
    ("get", "/api/cdn/shares/public/download/", Nothing),
    ("head", "/api/cdn/shares/public/download/", Nothing),
    ("post", "/api/cdn/shares/public/upload/", Nothing),
    ("get", "/api/cdn/shares/public/thumbnail/", Nothing),
    ("head", "/api/cdn/shares/public/thumbnail/", Nothing),
    ("get", "/api/cdn/shares/public/zip/", Nothing),
    ("get", "/api/cdn/shares/{id}/", ShareOf),
    ("put", "/api/cdn/shares/{id}/", ShareOf),
    ("patch", "/api/cdn/shares/{id}/", ShareOf),
    ("delete", "/api/cdn/shares/{id}/", ShareOf),
    ("get", "/api/cdn/shares/{id}/shared_users/", ShareOf),
    ("post", "/api/cdn/shares/{id}/add_user/", ShareOf),
    ("delete", "/api/cdn/shares/{id}/remove_user/", ShareOf),
    ("get", "/api/cdn/shares/{id}/access_logs/", ShareOf),
    ("get", "/healthz", Nothing),
    ("get", "/readyz", Nothing),
    ("get", "/metrics", Nothing),
    ("get", "/s/{token}", Nothing),
    ("head", "/s/{token}", Nothing),
    ("post", "/s/{token}", Nothing),
    ("get", "/s/{token}/download", Nothing),
    ("head", "/s/{token}/download", Nothing),
    ("get", "/s/{token}/preview", Nothing),
    ("head", "/s/{token}/preview", Nothing),
    ("get", "/s/{token}/zip", Nothing),
    ("post", "/s/{token}/upload", Nothing),
    ("get", "/f/{id}/thumbnail", Nothing),
    ("head", "/f/{id}/thumbnail", Nothing),
    ("get", "/f/{id}/{filename}", Nothing),
    ("head", "/f/{id}/{filename}", Nothing),
    ("options", "/f/{id}/{filename}", Nothing),
];

/// Refusals of what was asked, to somebody who may ask it.
const LET_IN: [(&str, u16); 4] = [
    ("/api/auth/reset_password", 400),
    ("/api/cdn/files/{id}/thumbnail/", 400),
    ("/api/cdn/processing/{id}/retry/", 409),
    ("/api/cdn/upload-0x0/", 400),
];

api_test! {
    async fn every_route_of_the_document_has_a_row(app) {
        let document = app.anonymous().get_json("/api/openapi.json").await;
        let mut described = Vec::new();
        for (path, item) in document["paths"].as_object().unwrap() {
            for method in item.as_object().unwrap().keys() {
                if ["get", "put", "post", "delete", "options", "head", "patch", "trace"].contains(&method.as_str()) {
                    described.push((method.clone(), path.clone()));
                }
            }
        }
        let rows: Vec<_> = ROUTES.iter().map(|(method, path, _)| ((*method).to_owned(), (*path).to_owned())).collect();
        let without: Vec<_> = described.iter().filter(|route| !rows.contains(route)).collect();
        assert!(without.is_empty(), "no row says who may do this: {without:?}");
        let gone: Vec<_> = rows.iter().filter(|route| !described.contains(route)).collect();
        assert!(gone.is_empty(), "rows of routes that are not there: {gone:?}");
    }
}

/// The status that a role gets; `None`: it is let in.
fn refusal(needs: Needs, role: Role) -> Option<u16> {
    let by_level = |wanted: usize, level: usize, below: u16| (level < wanted).then_some(below);
    match (needs, role) {
        (Nothing, _) => None,
        (_, Role::Anonymous) => Some(401),
        (Administration, _) => Some(403),
        (_, Role::Owner) => None,
        (SignIn, _) => None,
        (Ownership, _) | (_, Role::Revoked | Role::Stranger) => Some(404),
        (File(wanted), Role::OnFile(level) | Role::OnFolder(level) | Role::Above(level)) => {
            by_level(wanted, level, 403)
        }
        (Folder(_), Role::OnFile(_)) => Some(404),
        (Folder(wanted), Role::OnFolder(level) | Role::Above(level)) => by_level(wanted, level, 403),
        (ShareOn | ShareOf, Role::OnFile(level) | Role::OnFolder(level) | Role::Above(level)) => {
            by_level(ADMIN, level, 404)
        }
    }
}

struct World {
    ada: Client,
    top: Value,
    middle: Value,
}

/// What one call of one role is about.
struct Scene {
    client: Client,
    folder: Value,
    file: Value,
    other: String,
}

impl World {
    async fn build(app: &TestApp) -> Self {
        let ada = app.user("ada@example.com").await;
        app.user("other@example.com").await;
        let top = ada.create_folder("top", None).await;
        let middle = ada.create_folder("middle", Some(&top)).await;
        Self { ada, top, middle }
    }

    /// A user in this role, given what it is given of everything below the folders.
    async fn cast(&self, app: &TestApp, role: Role, nth: usize) -> Client {
        if role == Role::Anonymous {
            return app.anonymous();
        }
        if role == Role::Owner {
            return self.ada.clone();
        }
        let client = app.user(&format!("role{nth}@example.com")).await;
        match role {
            Role::OnFolder(level) => {
                drop(self.ada.give("folder", &self.middle, &client, LEVELS[level]).await)
            }
            Role::Above(level) => drop(self.ada.give("folder", &self.top, &client, LEVELS[level]).await),
            Role::Revoked => {
                for (kind, thing) in [("folder", &self.top), ("folder", &self.middle)] {
                    let share = self.ada.give(kind, thing, &client, "admin").await;
                    client.folder(&thing["id"]).await.expect_json(200);
                    self.ada.remove_user(&share, &client.email).await;
                }
            }
            _ => {}
        }
        client
    }

    /// Things of their own for one call, so that no call is about what another has changed.
    async fn scene(&self, client: &Client, role: Role, call: &str) -> Scene {
        let folder = self.ada.create_folder(&format!("folder of {call}"), Some(&self.middle)).await;
        let file = self.ada.register_in(&self.middle, &format!("{call}.txt")).await;
        if let Role::OnFile(level) = role {
            self.ada.give("file", &file, client, LEVELS[level]).await;
        }
        Scene { client: client.clone(), folder, file, other: "other@example.com".to_owned() }
    }
}

impl Scene {
    /// The path with its ids, and the body.
    async fn call(&self, app: &TestApp, world: &World, method: &str, path: &str) -> reqwest::RequestBuilder {
        let mut concrete = path.replace("{filename}", "new.bin").replace("{number}", "1");
        let id = if path.starts_with("/api/cdn/folders/") {
            id_of(&self.folder).to_owned()
        } else if path.starts_with("/api/cdn/shares/{id}") {
            let share = world.ada.share("file", &self.file, json!({})).await;
            if path.ends_with("remove_user/") {
                world.ada.try_add_user(&share, json!({"user_email": self.other})).await.expect_json(200);
            }
            id_of(&share).to_owned()
        } else if path == "/api/auth/sessions/{id}" {
            let other = app.login(&world.ada.email, PASSWORD).await;
            let sessions = other.get_json("/api/auth/sessions").await;
            let sessions = sessions.as_array().expect("an array").iter();
            let own = sessions.filter(|session| session["is_current"] == true).map(id_of).next();
            own.expect("this one").to_owned()
        } else if path == "/api/cdn/api-keys/{id}/" {
            let body = json!({"name": "a key", "scopes": ["read"]});
            id_of(&world.ada.post("/api/cdn/api-keys/").json(&body).fetch().await.expect_json(201)).to_owned()
        } else if path.starts_with("/api/cdn/processing/{id}") {
            let content = [picture(1, 8, 8), noise(seed(id_of(&self.file)), 16)].concat();
            let file = world.ada.upload(content, "picture.png").await;
            let jobs = world.ada.get_json(&format!("/api/cdn/processing/?file={}", id_of(&file))).await;
            id_of(&jobs[0]).to_owned()
        } else if path.starts_with("/api/admin/") {
            world.ada.id.to_string()
        } else if path.starts_with("/api/cdn/trash/{id}") {
            let file = world.ada.register(&registration("trashed.txt")).await;
            world.ada.trash_file(&file).await;
            id_of(&world.ada.item_of(&file).await).to_owned()
        } else {
            id_of(&self.file).to_owned()
        };
        if path.contains("{number}") {
            world.ada.add_version(&self.file, noise(seed(&id), 20)).await;
        }
        concrete = concrete.replace("{id}", &id);
        concrete += &match path {
            "/api/cdn/search/" => "?q=top".to_owned(),
            "/api/cdn/shares/status/" => format!("?resource_type=file&resource_id={}", id_of(&self.file)),
            "/api/cdn/uploads/{filename}" => format!("?folder_id={}", id_of(&self.folder)),
            _ if path.ends_with("remove_user/") => format!("?user_email={}", self.other),
            _ => String::new(),
        };
        let request = self.client.request(method.to_uppercase().parse().unwrap(), &concrete);
        let folder = &self.folder["id"];
        match (method, path) {
            ("put" | "patch", "/api/cdn/folders/{id}/") => {
                request.json(&json!({"name": format!("renamed {id}")}))
            }
            ("put" | "patch", "/api/cdn/files/{id}/") => {
                request.json(&json!({"filename": format!("{id}.txt")}))
            }
            ("put" | "patch", "/api/cdn/shares/{id}/") => request.json(&json!({"allow_preview": false})),
            ("post", "/api/cdn/folders/") => request.json(&json!({"name": "below", "parent": folder})),
            ("post", "/api/cdn/files/upload/") => {
                request.json(&merged(registration("new.txt"), json!({"folder_id": folder})))
            }
            ("post", "/api/cdn/files/{id}/versions/") => request.body(noise(seed(&id), 30)),
            ("post", "/api/cdn/uploads/") => {
                let form = Form::new()
                    .field("folder_id", id_of(&self.folder))
                    .file("new.bin", &noise(seed(&id), 40));
                form.on(request)
            }
            ("put", "/api/cdn/uploads/{filename}") => request.body(noise(seed(&id), 50)),
            ("post", "/api/cdn/upload-0x0/") => Form::new().field("expires", "1").on(request),
            ("post", "/api/cdn/bulk/") => {
                request.json(&json!({"action": "star", "items": [{"type": "file", "id": self.file["id"]}]}))
            }
            ("post", "/api/cdn/shares/") => {
                request.json(&json!({"resource_type": "file", "resource_id": self.file["id"]}))
            }
            ("post", "/api/cdn/shares/{id}/add_user/") => request.json(&json!({"user_email": self.other})),
            ("post", "/api/cdn/api-keys/") => request.json(&json!({"name": "a key", "scopes": ["read"]})),
            ("patch", "/api/admin/users/{id}/") | ("post", "/api/auth/retrieve") => request.json(&json!({})),
            ("post", "/api/auth/reset_password") => request.json(&json!({})),
            _ => request,
        }
    }
}

/// Bytes of their own for each id.
fn seed(id: &str) -> u64 {
    id.bytes().fold(7, |seed, byte| seed.wrapping_mul(31).wrapping_add(u64::from(byte)))
}

async fn hold_for(app: &TestApp, roles: &[Role]) {
    let world = World::build(app).await;
    let mut wrong = Vec::new();
    for (nth, &role) in roles.iter().enumerate() {
        let client = world.cast(app, role, nth).await;
        for (at, &(method, path, needs)) in ROUTES.iter().enumerate() {
            // It ends the session that the rest needs.
            if path == "/api/auth/logout" || path == "/api/auth/refresh" {
                continue;
            }
            let scene = world.scene(&client, role, &format!("{nth} {at}")).await;
            let reply = scene.call(app, &world, method, path).await.fetch().await;
            let is_right = match refusal(needs, role) {
                Some(status) => reply.status == status,
                None if matches!(needs, Nothing) => ![403, 500].contains(&reply.status),
                None => (200..300).contains(&reply.status) || LET_IN.contains(&(path, reply.status)),
            };
            if !is_right {
                let wanted = refusal(needs, role);
                wrong.push(format!(
                    "{role:?} {method} {path}: {} instead of {wanted:?}: {}",
                    reply.status,
                    reply.text()
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
}

api_test! {
    async fn the_owner_may_everything_and_who_was_given_nothing_sees_nothing(app) {
        hold_for(app, &[Role::Owner, Role::Revoked, Role::Stranger, Role::Anonymous]).await;
    }
}

api_test! {
    async fn whoever_was_given_a_file_may_what_the_level_says_and_nothing_with_its_folder(app) {
        hold_for(app, &LEVELS.map(|level| Role::OnFile(rank(level)))).await;
    }
}

api_test! {
    async fn whoever_was_given_a_folder_may_what_the_level_says_with_all_that_is_in_it(app) {
        hold_for(app, &LEVELS.map(|level| Role::OnFolder(rank(level)))).await;
    }
}

api_test! {
    async fn whoever_was_given_a_folder_further_above_may_the_same(app) {
        hold_for(app, &LEVELS.map(|level| Role::Above(rank(level)))).await;
    }
}

fn rank(level: &str) -> usize {
    LEVELS.iter().position(|known| *known == level).unwrap()
}
