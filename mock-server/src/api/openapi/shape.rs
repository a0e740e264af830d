//! What the types of a handler say of its call: what it takes, what it answers, what can go wrong.
//!
//! A route is only taken with a handler whose every argument is an [`Argument`] and whose answer is
//! an [`Answer`], so a call that nobody has described does not compile.

use std::collections::BTreeMap;

use axum::extract::{Path, State};
use axum::http::{HeaderName, HeaderValue};
use axum::response::{Html, NoContent};
use cloudnestle_marketplace::Code;
use utoipa::openapi::path::{Parameter, ParameterIn};
use utoipa::openapi::{Ref, RefOr, Schema};
use utoipa::{IntoParams, PartialSchema, ToSchema};

use crate::api::json::{Created, Json, Large};
use crate::api::problem::Failure;
use crate::api::query::Query;

/// A call, as far as the types of its handler tell of it.
#[derive(Default)]
pub(crate) struct Shape {
    /// The schema of its body.
    pub body: Option<Ref>,
    /// The media type of its body, if that is a file.
    pub file: Option<&'static str>,
    /// What it takes in its query.
    pub parameters: Vec<Parameter>,
    /// What it answers when all is well.
    pub answer: Success,
    /// What can go wrong on the way to the handler.
    pub codes: Vec<Code>,
    /// The schemas that the others refer to.
    pub schemas: BTreeMap<String, RefOr<Schema>>,
}

/// An answer that is not an error.
pub(crate) struct Success {
    pub status: u16,
    /// The media type and the schema, unless it is empty.
    pub content: Option<(&'static str, RefOr<Schema>)>,
}

impl Default for Success {
    fn default() -> Self {
        Success { status: 204, content: None }
    }
}

/// An argument of a handler, and what it adds to the shape of the call. Callers add nothing: the
/// table of routes names them.
pub(crate) trait Argument {
    fn describe(_: &mut Shape) {}
}

/// What a handler answers.
pub(crate) trait Answer {
    fn describe(shape: &mut Shape);
}

/// A handler whose types describe its call. `T` is axum's list of its arguments.
pub(crate) trait Described<T> {
    fn shape() -> Shape;
}

impl Shape {
    /// Refers to a type's schema, and keeps it with all that it refers to.
    pub(crate) fn refer<T: ToSchema>(&mut self) -> Ref {
        let name = T::name().into_owned();
        let mut schemas = vec![(name.clone(), T::schema())];
        T::schemas(&mut schemas);
        self.schemas.extend(schemas);
        Ref::from_schema_name(name)
    }
}

impl<M> Argument for State<M> {}

/// Its names are those in the path.
impl<T> Argument for Path<T> {
    fn describe(shape: &mut Shape) {
        shape.codes.push(Code::NotFound);
    }
}

impl<T: IntoParams> Argument for Query<T> {
    fn describe(shape: &mut Shape) {
        shape.parameters.extend(T::into_params(|| Some(ParameterIn::Query)));
        shape.codes.push(Code::RequestInvalid);
    }
}

impl<T: ToSchema> Argument for Json<T> {
    fn describe(shape: &mut Shape) {
        shape.body = Some(shape.refer::<T>());
        shape.codes.extend([
            Code::RequestTooLarge,
            Code::MediaTypeUnsupported,
            Code::EncodingUnsupported,
            Code::RequestInvalid,
        ]);
    }
}

impl<T: ToSchema> Argument for Large<T> {
    fn describe(shape: &mut Shape) {
        <Json<T> as Argument>::describe(shape);
    }
}

impl<T: ToSchema> Answer for Json<T> {
    fn describe(shape: &mut Shape) {
        let schema = shape.refer::<T>().into();
        shape.answer = Success { status: 200, content: Some(("application/json", schema)) };
    }
}

impl<T: ToSchema> Answer for Created<T> {
    fn describe(shape: &mut Shape) {
        <Json<T> as Answer>::describe(shape);
        shape.answer.status = 201;
    }
}

impl Answer for NoContent {
    fn describe(shape: &mut Shape) {
        shape.answer = Success { status: 204, content: None };
    }
}

impl<T> Answer for Html<T> {
    fn describe(shape: &mut Shape) {
        let content = Some(("text/html", String::schema()));
        shape.answer = Success { status: 200, content };
    }
}

/// An answer with headers of its own.
impl<A: Answer, const N: usize> Answer for ([(HeaderName, HeaderValue); N], A) {
    fn describe(shape: &mut Shape) {
        A::describe(shape);
    }
}

impl<A: Answer> Answer for Result<A, Failure> {
    fn describe(shape: &mut Shape) {
        A::describe(shape);
    }
}

macro_rules! described {
    ($($argument:ident)*) => {
        impl<F, Fut, A, M, $($argument),*> Described<(M, $($argument,)*)> for F
        where
            F: FnOnce($($argument),*) -> Fut,
            Fut: Future<Output = A>,
            A: Answer,
            $($argument: Argument,)*
        {
            fn shape() -> Shape {
                let mut shape = Shape::default();
                $($argument::describe(&mut shape);)*
                A::describe(&mut shape);
                shape
            }
        }
    };
}

described!();
described!(A1);
described!(A1 A2);
described!(A1 A2 A3);
described!(A1 A2 A3 A4);
described!(A1 A2 A3 A4 A5);
