//! Schemas of the types whose form on the wire a derive can't see.

use std::borrow::Cow;

use utoipa::openapi::schema::{
    ArrayBuilder, KnownFormat, Object, ObjectBuilder, OneOfBuilder, Ref, Schema, SchemaType, Type,
};
use utoipa::openapi::{RefOr, SchemaFormat};
use utoipa::{PartialSchema, ToSchema};

use super::{
    Code, Entry, EventRef, LossReason, Page, Secret, Timestamp, TrackUsage, UsageEvent, UsageRange,
};

type Schemas = Vec<(String, RefOr<Schema>)>;

fn named<T: ToSchema>() -> RefOr<Schema> {
    Ref::from_schema_name(T::name()).into()
}

fn text() -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::String)
}

impl PartialSchema for Secret {
    fn schema() -> RefOr<Schema> {
        text().format(Some(SchemaFormat::KnownFormat(KnownFormat::Password))).into()
    }
}

impl ToSchema for Secret {}

impl PartialSchema for Timestamp {
    fn schema() -> RefOr<Schema> {
        text()
            .format(Some(SchemaFormat::KnownFormat(KnownFormat::DateTime)))
            .description(Some("A moment in UTC, to the millisecond (RFC 3339)."))
            .examples(["2026-11-22T10:00:00Z"])
            .into()
    }
}

impl ToSchema for Timestamp {}

impl PartialSchema for Code {
    fn schema() -> RefOr<Schema> {
        let names = Code::ALL.iter().filter(|code| code.status() != 0).map(|code| code.as_str());
        let description =
            "What went wrong: a stable name that programs may match on. More may come.";
        text().enum_values(Some(names)).description(Some(description)).into()
    }
}

impl ToSchema for Code {}

/// [`UsageEvent::metadata`], as [`UsageEvent::malformed`] takes it.
pub(super) fn metadata() -> RefOr<Schema> {
    let name = text().min_length(Some(1)).max_length(Some(UsageEvent::MAX_METADATA_NAME_BYTES));
    let value = ObjectBuilder::new()
        .schema_type(SchemaType::from_iter([Type::String, Type::Number, Type::Boolean, Type::Null]))
        .max_length(Some(UsageEvent::MAX_METADATA_TEXT_BYTES));
    ObjectBuilder::new()
        .schema_type(SchemaType::from_iter([Type::Object, Type::Null]))
        .description(Some("A few bounded facts about it; no free text."))
        .property_names(Some(name))
        .additional_properties(Some(value))
        .max_properties(Some(UsageEvent::MAX_METADATA))
        .into()
}

/// As [`UsageEvent::malformed`] takes it.
fn id() -> ObjectBuilder {
    text().min_length(Some(1)).max_length(Some(UsageEvent::MAX_ID_BYTES))
}

impl PartialSchema for EventRef {
    fn schema() -> RefOr<Schema> {
        let numbered = numbered("An event of a producer's log.")
            .property("producer", id().description(Some("The producer, `prd_…`.")))
            .required("producer");
        let single = ObjectBuilder::new()
            .description(Some("An event that was sent alone, or consumed."))
            .property("id", id().description(Some("The event's id.")))
            .required("id");
        let description = "Names an event that was sent before, to correct it.";
        OneOfBuilder::new().item(numbered).item(single).description(Some(description)).into()
    }
}

impl ToSchema for EventRef {}

impl PartialSchema for TrackUsage {
    fn schema() -> RefOr<Schema> {
        let event = ObjectBuilder::new()
            .description(Some(
                "What a shell script sends. The event's `id` is its idempotency key.",
            ))
            .property("event", named::<UsageEvent>())
            .required("event");
        let description = "A numbered range from a producer, or a single event.";
        let either = OneOfBuilder::new().item(named::<UsageRange>()).item(event);
        either.description(Some(description)).into()
    }
}

impl ToSchema for TrackUsage {
    fn schemas(schemas: &mut Schemas) {
        schemas.push((UsageRange::name().into(), UsageRange::schema()));
        UsageRange::schemas(schemas);
    }
}

impl PartialSchema for Entry {
    fn schema() -> RefOr<Schema> {
        let event = numbered("The event the number stands for.")
            .property("event", named::<UsageEvent>())
            .required("event");
        let lost = numbered(
            "The loss report: the event of this number, or of each of several, can't be sent.",
        )
        .property("through", number("The last number that is lost; the same if absent."))
        .property("lost", named::<LossReason>())
        .required("lost");
        let description = "One number of a producer's log.";
        OneOfBuilder::new().item(event).item(lost).description(Some(description)).into()
    }
}

fn numbered(description: &str) -> ObjectBuilder {
    ObjectBuilder::new()
        .description(Some(description))
        .property("number", number("Its number; a producer's first is 1."))
        .required("number")
}

fn number(description: &str) -> Object {
    ObjectBuilder::new()
        .schema_type(Type::Integer)
        .minimum(Some(1usize))
        .maximum(Some(u64::MAX as usize))
        .description(Some(description))
        .build()
}

impl ToSchema for Entry {
    fn name() -> Cow<'static, str> {
        "Entry".into()
    }
    fn schemas(schemas: &mut Schemas) {
        schemas.push((UsageEvent::name().into(), UsageEvent::schema()));
        UsageEvent::schemas(schemas);
        schemas.push((LossReason::name().into(), LossReason::schema()));
    }
}

impl<T: ToSchema> PartialSchema for Page<T> {
    fn schema() -> RefOr<Schema> {
        let items = ArrayBuilder::new()
            .items(named::<T>())
            .description(Some("The items, in the list's order."));
        let next = text().description(Some(
            "What to ask for the next page with, as `cursor`; absent on the last page. Opaque, and \
             good for the same call with the same filters.",
        ));
        ObjectBuilder::new()
            .description(Some("Part of a list. Ask again with its cursor for the next part."))
            .property("items", items)
            .required("items")
            .property("next_cursor", next)
            .into()
    }
}

/// Each list has a schema of its own.
impl<T: ToSchema> ToSchema for Page<T> {
    fn name() -> Cow<'static, str> {
        format!("PageOf{}", T::name()).into()
    }
    fn schemas(schemas: &mut Schemas) {
        schemas.push((T::name().into(), T::schema()));
        T::schemas(schemas);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The bounds in attributes are numbers, because a macro can't read a constant.
    #[test]
    fn the_bounds_of_the_schemas_are_those_of_the_model() {
        let event = serde_json::to_value(UsageEvent::schema()).expect("JSON");
        let of = |field: &str, bound: &str| event["properties"][field][bound].as_u64();
        for id in ["id", "customer_id", "token_id", "action"] {
            assert_eq!(of(id, "maxLength"), Some(UsageEvent::MAX_ID_BYTES as u64), "{id}");
        }
        assert_eq!(of("idempotency_key", "maxLength"), Some(UsageEvent::MAX_KEY_BYTES as u64));
        assert_eq!(of("quantity", "minimum"), Some(*UsageEvent::QUANTITY.start()));
        assert_eq!(of("quantity", "maximum"), Some(*UsageEvent::QUANTITY.end()));
        let range = serde_json::to_value(UsageRange::schema()).expect("JSON");
        let items = &range["properties"]["items"];
        assert_eq!(items["maxItems"], UsageRange::MAX_ITEMS as u64);
    }
}
